"""Channels that stand out: in one layer, and through all of them."""

import streamlit as st

from analysis.figures import outliers as figures
from analysis.figures.theme import REPRESENTATION_LABELS, ROLE_LABELS
from analysis.outliers import (
    SCORE_HELP,
    SCORE_LABELS,
    Score,
    rank_channels,
)
from analysis.tables import channel_frame
from pages.components import (
    channel_links,
    controls,
    derived,
    downloads,
    frames,
    picker,
    role_overlap,
    shell,
)

shell.open_page("Outliers")
version = picker.read_one()
table = version.table

with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
    representation = controls.choose_representation()
    role = controls.choose_role()
    score = controls.choose_score()
    k = controls.choose_k(table.channels)
layer = controls.choose_layer(table)
mode = downloads.mode()

ranking = rank_channels(table, layer, representation, role, score, k)
with st.container(horizontal=True):
    st.metric("Outliers", f"{ranking.outlier_count:,}", border=True, help=SCORE_HELP[score])
    st.metric(
        "Massive",
        f"{ranking.massive_count:,}",
        border=True,
        help="Channels above 100 and above 1000 times the typical activation of the layer.",
    )
    st.metric("Channels", f"{table.channels:,}", border=True)
    st.metric("Tokens measured", f"{table.count(layer, role):,}", border=True)

st.subheader(f"Layer {layer}: {REPRESENTATION_LABELS[representation]}, {ROLE_LABELS[role]} tokens")
channels = channel_frame(table, layer, representation, role)
clicked = downloads.show_figure(
    figures.build_channel_scatter(
        ranking.scores,
        outlier_mask=ranking.outlier_mask,
        statistics=channels[["mean", "std", "max_abs"]].to_numpy().T,
        top=ranking.frame["channel"].to_numpy(),
        value_label=SCORE_LABELS[score],
        level=ranking.threshold,
        mode=mode,
    ),
    "channels of the layer",
    channels,
    clickable=True,
)
channel_links.follow(clicked)
st.caption("A click on a point, a row or a cell of the map leads to the page of its channel.")
channel_links.follow(frames.show_ranking(ranking.frame, table, representation, role, score))
downloads.show_csv(ranking.frame, "ranking")

st.subheader("Through the network")
course = derived.channel_map(version.ref, representation, role, score, k, max_rows=30)
clicked = downloads.show_figure(
    figures.build_channel_marks(
        course.values,
        course.channels,
        course.layers,
        value_label=SCORE_LABELS[score if score is Score.MEAN_OVER_STD else Score.MAX_ABS],
        mode=mode,
    ),
    "channels over depth",
    rows=len(course.channels),
    clickable=True,
)
channel_links.follow(clicked)
if course.total > len(course.channels):
    st.caption(
        f"The {len(course.channels)} most persistent of {course.total} channels that are among "
        f"the top {k} of any layer."
    )
persistent = derived.persistence(version.ref, representation, role, score, k)
channel_links.follow(frames.show_persistence(persistent, table.num_layers))
downloads.show_csv(persistent, "persistence")

st.subheader(f"CLS, patches and registers in layer {layer}")
role_overlap.show(version, layer, representation, score)
