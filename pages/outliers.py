"""Channels that stand out: in one layer, and through all of them."""

import streamlit as st

from analysis.read.frames import channel_frame
from analysis.read.outliers import SCORE_HELP, Score, rank_channels
from analysis.show.figures import outliers as figures
from analysis.show.figures.theme import REPRESENTATION_LABELS, ROLE_LABELS
from pages.components.frame import picker, shell
from pages.components.outliers import depth_course, role_overlap, tables
from pages.components.shared import channel_links, controls, derived, downloads

# Half of all channels are below the median: their robust score is negative.
LOWEST_ROBUST = 0.1

shell.open_page("Outliers")
version = picker.read_one()
table = version.table

with st.container(horizontal=True, gap="medium"):  # on a narrow page the second group wraps
    with st.container(horizontal=True, gap="medium", width="content"):
        representation = controls.choose_representation()
        role = controls.choose_role()
    with st.container(horizontal=True, gap="medium", width="content"):
        score = controls.choose_score()
        threshold = controls.choose_threshold(score)
        k = controls.choose_k(table.channels)
layer = controls.choose_layer(table)
mode = downloads.mode()

ranking = rank_channels(table, layer, representation, role, score, k, threshold)
with st.container(horizontal=True):
    st.metric("Outliers", f"{ranking.outlier_count:,}", border=True, help=SCORE_HELP[score])
    st.metric(
        "Massive",
        f"{ranking.massive_count:,}",
        border=True,
        help="Channels above 100 and above 1000 times the typical activation of the layer.",
    )
    st.metric("Channels", f"{table.channels:,}", border=True, help="All of them are drawn below.")
    st.metric(
        "Tokens measured",
        f"{table.count(layer, role):,}",
        border=True,
        help="How many tokens are behind each number; max |x| grows with it.",
    )

st.header(f"Layer {layer}: {REPRESENTATION_LABELS[representation]}, {ROLE_LABELS[role]} tokens")
channels = channel_frame(table, layer, representation, role)
clicked = downloads.show_figure(
    figures.build_channel_scatter(
        ranking.scores,
        outlier_mask=ranking.outlier_mask,
        statistics=channels[["mean", "std", "max_abs"]].to_numpy().T,
        top=ranking.frame["channel"].to_numpy(),
        value_label=controls.label_score(score, representation),
        level=ranking.threshold,
        floor=LOWEST_ROBUST if score is Score.ROBUST else None,
        mode=mode,
    ),
    "channels of the layer",
    channels,
    clickable=True,
)
channel_links.follow(clicked)
level = ""
if 0 < ranking.threshold < float("inf"):
    level = f"Dashed: from {ranking.threshold:.4g} on a channel is an outlier. "
if score is Score.ROBUST:
    level += "Channels about or below the median stand at the lower edge. "
st.caption(f"{level}A click on a point, a row or a cell of the map leads to its channel.")
channel_links.follow(tables.show_ranking(ranking.frame, table, representation, role, score))
downloads.show_csv(ranking.frame, "ranking")

st.header("Through the network")
depth_course.show(version, representation, role, score, k, threshold)
persistent = derived.persistence(version.reading, representation, role, score, k, threshold)
channel_links.follow(tables.show_persistence(persistent, table.num_layers))
downloads.show_csv(persistent, "persistence")

st.header(f"CLS, patches and registers in layer {layer}")
role_overlap.show(version, layer, representation, score, threshold)
