"""The ready views of the Layers page: what papers draw against depth, one click each."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import pandas as pd
import streamlit as st

from analysis.payload.extras import NORM_EDGES, STORED, ExtraTable, Part
from analysis.read.depth.extremes import find_beyond, find_extremes
from analysis.read.depth.suppression import find_standings
from analysis.read.depth.token_norms import count_beyond, find_norm_quantiles, tabulate_norms
from analysis.read.frames import tabulate_suppression
from analysis.show.figures import histograms
from analysis.show.figures import layer_views as figures
from analysis.show.figures.axes import Scale
from analysis.show.figures.theme import REPRESENTATION_LABELS, describe_unit, role_label
from analysis.vocabulary import Representation, TokenRole
from pages.components.layers import tables
from pages.components.shared import channel_links, controls, derived, downloads, selection
from pages.components.shared.version import Version


class View(StrEnum):
    """What the page shows."""

    STATISTIC = "statistic"
    TOP = "top"
    NORMS = "norms"
    RANGE = "range"
    SHARED_NORM = "shared_norm"
    ADVICE = "advice"


LABELS = {
    View.STATISTIC: "Any statistic",
    View.TOP: "Largest activations",
    View.NORMS: "Token norms",
    View.RANGE: "Min and max",
    View.SHARED_NORM: "What the shared norm does",
    View.ADVICE: "Which norm to use",
}


def choose_view() -> View:
    """Show the choice of a view; any statistic at first."""
    return selection.choose(
        "view",
        "View",
        list(View),
        default=View.STATISTIC,
        format_func=LABELS.__getitem__,
        help="Any statistic against depth, or one of the views that papers use.",
    )


def show_top(version: Version) -> None:
    """Show the three largest activations and the median of every layer."""
    extras = version.extras
    top = extras.require(Part.TOP, extras.top())
    scale = controls.choose_scale()
    downloads.show_figure(
        figures.build_top_curves(
            extras.layers,
            top,
            tapped=version.table.tapped_layers,
            scale=scale,
            mode=downloads.mode(),
        ),
        "largest activations",
        pd.DataFrame(top, columns=["top_1", "top_2", "top_3", "median"]).assign(
            layer=extras.layers
        ),
    )
    st.caption(
        "Of each image the largest three |x| and the median |x| over all its tokens (CLS, "
        "registers, patches) and channels of the block output; then the mean over images. "
        "A median far below the largest is the mark of massive activations."
    )


def show_norms(version: Version) -> None:
    """Show how token norms are spread in every layer, and in one."""
    extras = version.reading.require(Part.NORM_HIST)
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        representation = _choose_stored()
        role = _choose_role(extras)
    counts = extras.require(Part.NORM_HIST, extras.norm_hist(representation, role))
    unit, tapped = describe_unit(representation), version.table.tapped_layers
    downloads.show_figure(
        figures.build_norm_map(
            extras.layers,
            counts,
            NORM_EDGES,
            find_norm_quantiles(counts),
            unit=f"{role_label(role)} tokens, {unit}",
            tapped=tapped,
            mode=downloads.mode(),
        ),
        "token norms",
        tabulate_norms(extras.layers, {role: counts}),
    )
    beyond = count_beyond(counts)
    if beyond:
        st.caption(f"{beyond:,} token outputs have a norm below 0.1 or above 100,000.")
    layer = controls.choose_layer(version.table)
    at = version.table.position(layer)
    st.header(f"Layer {layer}: {REPRESENTATION_LABELS[representation]}")
    found = {role: extras.norm_hist(representation, role) for role in extras.roles}
    by_role = {role: values for role, values in found.items() if values is not None}
    downloads.show_figure(
        histograms.build_norm_histogram(
            {role: values[at] for role, values in by_role.items()},
            NORM_EDGES,
            unit=unit,
            mode=downloads.mode(),
        ),
        "token norms of the layer",
        tabulate_norms(np.array([layer]), {r: v[at : at + 1] for r, v in by_role.items()}),
    )
    st.caption(
        "Two humps among the patch tokens are high-norm artefact tokens, which registers are "
        "meant to take up."
    )


def show_range(version: Version) -> None:
    """Show the smallest and largest value of every layer, and the layers beyond two bounds."""
    extras = version.reading.require(Part.RANGE)
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        representation = controls.choose_representation()
        role = _choose_role(extras)
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        bound = 100.0 if representation is Representation.PRE else 20.0
        lower = selection.choose_number("lower", "Lower bound", default=-bound)
        upper = selection.choose_number("upper", "Upper bound", default=bound)
        symlog = controls.choose_scale(signed=True) is Scale.SYMLOG
    missing = Part.NORM if representation is Representation.GLOBAL_LN else Part.RANGE
    ends = extras.require(missing, extras.value_range(representation, role))
    extremes = find_extremes(extras.layers, ends)
    downloads.show_figure(
        figures.build_range_curves(
            extras.layers,
            extremes["min"].to_numpy(),
            extremes["max"].to_numpy(),
            bounds=(lower, upper),
            representation=representation,
            role=role,
            tapped=version.table.tapped_layers,
            symlog=symlog,
            mode=downloads.mode(),
        ),
        "min and max",
        extremes,
    )
    beyond = find_beyond(extras.layers, ends, lower, upper)
    st.header(f"{len(beyond)} of {len(extremes)} layers beyond a bound")
    if len(beyond):
        tables.show_extremes(beyond)


def show_shared_norm(version: Version) -> None:
    """Show what the model's shared LayerNorm does to the outliers."""
    st.caption(
        "The shared LayerNorm was trained for the last layer. Standing is a channel's max |x| over "
        "that of the median channel, before and after it: points below the diagonal are held "
        "down. The suppression factor is the fall of the outliers' standing (geometric mean)."
    )
    table, found = version.table, derived.suppression(version.reading)
    frame = tabulate_suppression(table.layers, found)
    downloads.show_figure(
        figures.build_suppression_curve(
            table.layers, found.factor, tapped=table.tapped_layers, mode=downloads.mode()
        ),
        "suppression",
        frame,
    )
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        role = controls.choose_role()
    layer = controls.choose_layer(table)
    at, place = table.position(layer), role.position
    if found.outliers[at, place]:
        st.markdown(
            f"**Layer {layer}:** {found.remaining[at, place]} of {found.outliers[at, place]} "
            "outliers of the block output are outliers after the shared norm too."
        )
    extras = version.extras
    norm = extras.norm(role)
    if norm is None:
        st.caption(f"Without γ as colour. {extras.why_absent(Part.NORM)}")
    before, after = find_standings(table, layer, role)
    standings = pd.DataFrame({"channel": range(len(before)), "before": before, "after": after})
    clicked = downloads.show_figure(
        figures.build_suppression_scatter(
            before, after, gamma=None if norm is None else norm[0], mode=downloads.mode()
        ),
        "standing before and after",
        standings if norm is None else standings.assign(gamma=norm[0]),
        clickable=True,
    )
    channel_links.follow(clicked)


def show_advice(version: Version) -> None:
    """Show which norm the tapped layers need, and why."""
    table = version.table
    tapped = table.tapped_layers
    if not tapped:
        st.caption("The training config taps no layers, so all of them are judged.")
    frame = derived.advice(version.reading, tapped or tuple(table.layers.tolist()))
    tables.show_advice(frame)
    downloads.show_csv(frame, "advice")
    st.caption(
        "A place to start, not a measurement of a head's quality. Outliers: share of the channels "
        "of the block output (robust score of max |x| of 10 or more). Suppression: by what factor "
        "the shared norm lowers them. |mean| / std: their median. The rules, in order: no "
        "outliers: raw; last layer or suppressed tenfold with none left: global LN; an offset "
        "(|mean| / std of 3 or more): BatchNorm-like; at most half of the energy: per-layer LN; at "
        "most 1 % of the channels: drop them; else BatchNorm-like."
    )


def _choose_stored() -> Representation:
    return selection.choose(
        "representation",
        "Representation",
        list(STORED),
        default=Representation.PRE,
        format_func=REPRESENTATION_LABELS.__getitem__,
        help="The norm of a token after the global LN is not stored.",
    )


def _choose_role(extras: ExtraTable) -> str:
    return selection.choose(
        "role",
        "Tokens",
        [str(role) for role in extras.roles],
        default=TokenRole.PATCH.value,
        format_func=role_label,
        help="CLS, all patch tokens pooled, or one of the registers.",
    )
