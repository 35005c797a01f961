"""Any statistic against depth: its choices, the lines of every version, and the table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from analysis.errors import PayloadError
from analysis.language import _
from analysis.payload.extras import Part
from analysis.read.frames import Aggregate, aggregate_values
from analysis.show.figures.axes import INPUT, Scale
from analysis.show.figures.layers import DepthCurve, divide_by_baseline
from analysis.show.figures.theme import ROLE_LABELS, STATISTIC_LABELS
from analysis.show.views import layers as views
from analysis.vocabulary import REPRESENTATIONS, ROLES, Representation, Statistic, TokenRole
from pages.components.layers import tables
from pages.components.shared import (
    absent,
    colors,
    controls,
    derived,
    downloads,
    fairness,
    selection,
)
from pages.components.shared.text import plain
from pages.components.shared.version import Version


def show(versions: Sequence[Version]) -> None:
    """Show the statistic that is chosen, of all versions."""
    with st.container(horizontal=True, gap="small", vertical_alignment="top"):
        statistic = controls.choose_statistic()
        aggregate = controls.choose_aggregate()
        # of several versions one representation: all three are many lines
        first = [Representation.PRE] if len(versions) > 1 else []
        representations = controls.choose_representations(first)
        roles = controls.choose_roles()
    figure = st.container()
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        signed = statistic is Statistic.MEAN and controls.switch_signed()
        baseline = _choose_baseline(versions, signed)
        scale = Scale.LINEAR if baseline else controls.choose_scale(signed=signed)
        facets = selection.switch(
            "facets",
            _("A panel for each representation"),
            default=False,
            help=_("Each with an axis of its own. Several versions always have panels."),
        )
        registers = controls.switch_storage([version.table for version in versions])

    slots = colors.choose_slots(versions)
    curves = [
        curve
        for version, slot in zip(versions, slots, strict=True)
        for curve in _draw(version, slot, statistic, aggregate, signed, registers)
        if curve.representation in representations
        and (curve.role in roles or curve.role not in ROLES)
    ]

    if baseline is not None:
        curves = divide_by_baseline(curves, baseline)

    def tabulate() -> pd.DataFrame:
        return pd.concat([_tabulate(each, statistic, signed, registers) for each in versions])

    view = views.statistic(
        curves,
        statistic,
        aggregate,
        frame=tabulate,
        tapped=versions[0].table.tapped_layers,
        scale=scale,
        signed=signed,
        facets=facets,
        baseline=baseline,
        mode=downloads.mode(),
    )
    with figure:
        downloads.show(view)
    if statistic is Statistic.MAX_ABS:
        _warn(versions, roles, registers)
    with st.expander(_("Table"), on_change="rerun", key="layers table") as table:
        if table.open:
            sized = statistic is Statistic.MEAN and not signed
            st.caption(
                _("{statistic}, over channels.").format(
                    statistic=_("|mean|") if sized else STATISTIC_LABELS[statistic]
                )
            )
            tables.show_depth(tabulate())


def _choose_baseline(versions: Sequence[Version], signed: bool) -> str | None:
    """Show whether the lines are held against a version; return its name where they are."""
    if len(versions) < 2 or signed:
        return None
    name = versions[1].name
    is_relative = selection.switch(
        "relative",
        _("Relative to {name}").format(name=plain(name)),
        default=len(versions) == 2,
        help=_("Each value over that of the baseline in the same layer; signed means have none."),
    )
    return name if is_relative else None


def _draw(
    version: Version,
    slot: int,
    statistic: Statistic,
    aggregate: Aggregate,
    signed: bool,
    registers: bool,
) -> list[DepthCurve]:
    """Return the lines of a version; the block output begins with what enters block 0."""
    options = {"signed": signed}
    parts: list[tuple[Sequence[str], NDArray[np.float32]]] = [
        (ROLES, derived.aggregate(version.reading, statistic, aggregate, **options))
    ]
    if registers:
        found = derived.aggregate_storage(version.reading, statistic, aggregate, **options)
        extras = version.extras
        with absent.say(version.name):
            parts.append((extras.storage_roles, extras.require(Part.STORAGE, found)))
    curves = []
    for roles, values in parts:
        for place, role in enumerate(roles):
            entering = _aggregate_input(version, role, statistic, aggregate, signed)
            for representation in REPRESENTATIONS:
                layers, line = version.table.layers, values[:, representation.position, place]
                if representation is Representation.PRE and entering is not None:
                    layers, line = np.append(INPUT, layers), np.append(entering, line)
                curves.append(DepthCurve(layers, line, representation, role, version.name, slot))
    # in the legend both kinds of tokens of a representation stand side by side
    return sorted(curves, key=lambda curve: curve.representation.position)


def _aggregate_input(
    version: Version, role: str, statistic: Statistic, aggregate: Aggregate, signed: bool
) -> NDArray[np.float32] | None:
    """Return the statistic of the tokens that enter block 0; None where it is not stored."""
    try:
        entering = version.extras.embedding(role)
    except PayloadError:
        return None  # pages that need the extras say what is wrong with them
    if entering is None:
        return None
    return aggregate_values(entering[statistic.position], aggregate, signed=signed)


def _tabulate(
    version: Version, statistic: Statistic, signed: bool, registers: bool
) -> pd.DataFrame:
    """Return every aggregate of what is drawn of a version."""
    frames = [derived.tabulate_depth(version.reading, statistic, signed=signed)]
    of_registers = None
    if registers:
        of_registers = derived.tabulate_storage(version.reading, statistic, signed=signed)
    if of_registers is not None:
        frames.append(of_registers)
    return pd.concat(frames).assign(version=version.name)


def _warn(versions: Sequence[Version], roles: Sequence[TokenRole], registers: bool) -> None:
    """Say where max |x| of versions or kinds of tokens is not comparable."""
    fairness.warn_of_versions(versions)
    table = versions[0].table
    last = int(table.layers[-1])
    tokens = {ROLE_LABELS[role]: table.count(last, role) for role in roles}
    if registers:
        tokens["each register"] = table.count(last, TokenRole.CLS)  # one per image too
    fairness.warn_of_roles(tokens)
