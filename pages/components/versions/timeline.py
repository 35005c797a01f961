"""Three or more versions in a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from analysis.language import _
from analysis.read.compare.common_images import count_common_images
from analysis.read.compare.compatibility import Severity, check_compatibility
from analysis.read.compare.drift import have_same_channels
from analysis.read.compare.timeline import (
    LargestMove,
    find_largest_move,
    find_most_changed,
    follow_channels,
)
from analysis.read.digits import show_digits
from analysis.show.figures.theme import REPRESENTATION_LABELS, ROLE_LABELS
from analysis.show.views import timeline as views
from analysis.vocabulary import Cell, Representation, TokenRole
from pages.components.shared import colors, downloads, folds, selection
from pages.components.shared.text import plain
from pages.components.shared.version import Version
from pages.components.versions import differences, reasons

FOLLOWED = 5
"""Channels that are followed until others are chosen."""


def show(
    versions: Sequence[Version], layer: int, representation: Representation, role: TokenRole
) -> None:
    """Show what grew and what moved, from version to version."""
    st.header(_("Timeline"))
    order = selection.choose("order", _("Order"), [_("by date"), _("as picked")], default="by date")
    ordered = list(versions)
    if order == "by date":
        ordered.sort(key=lambda version: version.ref.created)
    first = ordered[0]
    kept = [v for v in ordered if have_same_channels(first.table, v.table)]
    for version in ordered:
        if version not in kept:
            st.caption(
                _(
                    "{name} is of another backbone than {name_2} and has no place in this row."
                ).format(name=plain(version.name), name_2=plain(first.name))
            )
    names = [version.name for version in kept]
    if len(kept) < 2:
        return
    with st.expander(_("Whether all of them may be compared")):
        images = count_common_images([version.reading for version in kept])
        agreement = check_compatibility([v.table for v in kept], names, images)
        reasons.show(agreement)
        reasons.show_agreed(agreement)
    layers, drift = differences.follow_drift(tuple(kept))
    if not len(layers):
        st.caption(_("These versions have no layer in common."))
        return
    _show_drift(kept, layers, drift, representation, role)
    if layer in layers:
        title = _("What single channels did, from version to version")
        with folds.fold(title, views.FOLLOWED) as is_open:
            if is_open:
                _show_channels(kept, layer, representation, role)


def _show_drift(
    kept: Sequence[Version],
    layers: NDArray[np.int64],
    drift: NDArray[np.float64],
    representation: Representation,
    role: TokenRole,
) -> None:
    shown = np.full_like(drift, np.nan)  # of the cell that the figure below shows, and no other
    place = ..., representation.position, role.position
    shown[place] = drift[place]
    move = find_largest_move(layers, shown)
    winner = kept[move.version]
    st.markdown(
        _(
            "**{name}** moved most from {name_2}: drift {drift} in layer "
            "{layer}, {representation}, {role} tokens ({noise})."
        ).format(
            name=plain(winner.name),
            name_2=plain(kept[0].name),
            drift=show_digits(move.drift, 2),
            layer=move.cell.layer,
            representation=REPRESENTATION_LABELS[move.cell.representation],
            role=ROLE_LABELS[move.cell.role],
            noise=_describe_noise(kept[0], winner, move),
        )
    )
    names, slots = [version.name for version in kept], colors.choose_slots(kept)
    cell = representation, role
    noise = np.full(drift.shape[:2], np.nan)
    for row, version in enumerate(kept[1:], start=1):
        found = differences.measure_noise(kept[0], version)
        if found is not None:
            noise[row] = found.noise_band[np.searchsorted(found.layers, layers)][place]
    mode = downloads.mode()
    downloads.show(views.drift_in_a_row(layers, drift, cell, names, slots, noise=noise, mode=mode))
    careful = [
        plain(version.name)
        for version in kept[1:]
        if differences.compare(kept[0], version).reasons[0].severity is not Severity.GREEN
    ]
    if careful:
        st.caption(
            ":material/warning: "
            + _("To be compared with care: {names}; why stands above.").format(
                names=_(", ").join(careful)
            )
        )


def _describe_noise(first: Version, winner: Version, move: LargestMove) -> str:
    noise = differences.measure_noise(first, winner)
    if noise is None:
        return _("how much of it is noise cannot be told")
    layer = int(np.flatnonzero(noise.layers == move.cell.layer)[0])
    floor = noise.noise_floor[layer, move.cell.representation.position, move.cell.role.position]
    if np.isnan(floor):
        return _("how much of it is noise cannot be told")
    return _("chance alone gives {floor}").format(floor=show_digits(floor, 2))


def _show_channels(
    kept: Sequence[Version], layer: int, representation: Representation, role: TokenRole
) -> None:
    values = follow_channels([v.table for v in kept], Cell(layer, representation, role))
    default = find_most_changed(values, FOLLOWED)
    channels = selection.choose_many(
        "followed",
        _("Channels to follow"),
        range(values.shape[1]),
        limit=10,
        help=_("None chosen: those that changed most among the largest."),
    )
    names, cell = [version.name for version in kept], Cell(layer, representation, role)
    view = views.channels_in_a_row(values, channels or default, cell, names, downloads.mode())
    downloads.show(view)
    if len({version.table.count(layer, role) for version in kept}) > 1:
        st.caption(
            _(
                "The versions were measured on different numbers of tokens, and "
                "max |x| grows with them: a larger value alone proves nothing."
            )
        )
