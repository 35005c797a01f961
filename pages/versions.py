"""What differs between two versions: layer by layer, channel by channel, setting by setting."""

import streamlit as st

from analysis.figures import versions as figures
from analysis.figures.theme import REPRESENTATION_LABELS, ROLE_LABELS
from analysis.outliers import SCORE_LABELS
from analysis.versions import (
    compare_tables,
    compare_top_channels,
    config_diff,
    jaccard_over_depth,
)
from analysis.vocabulary import Statistic
from pages.components import controls, downloads, frames, picker, reasons, shell

shell.open_page("Versions")
a, b = picker.read_two()
names = (a.name, b.name)
comparison = compare_tables(a.table, b.table, names=names)
reasons.show(comparison.reasons)
if comparison.drift is None:
    st.info("These two cannot be compared number by number. Pick two versions of one backbone.")
    st.stop()
mode = downloads.mode()

st.subheader("Drift of each layer")
with st.container(horizontal=True, gap="medium"):
    representations = controls.choose_representations()
    roles = controls.choose_roles()
downloads.show_figure(
    figures.build_drift_curves(
        comparison.layers,
        comparison.drift,
        representations=representations,
        roles=roles,
        mode=mode,
    ),
    "drift",
    frames.tabulate_cells(comparison.layers, comparison.drift, "drift"),
)
st.caption(
    "Root mean square over channels of how far mean and standard deviation moved, in units of the "
    "channel's own standard deviation. 0 is no change; how much of it is noise is not told here."
)

st.subheader("Top channels of a layer")
with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
    representation = controls.choose_representation()
    role = controls.choose_role()
    score = controls.choose_score()
    k = controls.choose_k(a.table.channels)
layer = controls.choose_layer(a.table, among=comparison.layers)
top = compare_top_channels(a.table, b.table, layer, representation, role, score, k)
counts = top.frame["status"].value_counts()
with st.container(horizontal=True):
    st.metric("In both", int(counts.get("kept", 0)), border=True)
    st.metric("New", int(counts.get("new", 0)), border=True, help=f"Only in {b.name}.")
    st.metric("Gone", int(counts.get("gone", 0)), border=True, help=f"Only in {a.name}.")
    st.metric(
        "Overlap", f"{top.jaccard:.2f}", border=True, help="Jaccard index of the two top lists."
    )
where = f"layer {layer}, {REPRESENTATION_LABELS[representation]}, {ROLE_LABELS[role]} tokens"
downloads.show_figure(
    figures.build_top_changes(top.frame, names=names, value_label=f"max |x|, {where}", mode=mode),
    "top channels",
    top.frame,
    rows=len(top.frame),
)
with st.expander("Table", on_change="rerun", key="top table") as table:
    if table.open:
        frames.show_top_comparison(top, names, score)

st.subheader(f"Every channel of {where}")
values_a, values_b = (
    version.table.get(layer, representation, role, Statistic.MAX_ABS) for version in (a, b)
)
downloads.show_figure(
    figures.build_channel_comparison(
        values_a,
        values_b,
        names=names,
        value_label="max |x|",
        status={
            str(status): group["channel"].to_numpy()
            for status, group in top.frame.groupby("status")
        },
        mode=mode,
    ),
    "channels",
)

st.subheader(f"Overlap of the top {k} by {SCORE_LABELS[score]}")
overlap = jaccard_over_depth(a.table, b.table, score, k)
downloads.show_figure(
    figures.build_jaccard_curves(
        comparison.layers,
        overlap,
        k=k,
        representations=representations,
        roles=roles,
        mode=mode,
    ),
    "overlap",
    frames.tabulate_cells(comparison.layers, overlap, "jaccard"),
)

st.subheader("Settings that differ")
changed = config_diff(a.table.config, b.table.config)
if changed.empty:
    st.caption("The two training configs are the same.")
else:
    frames.show_config_diff(changed, names)
    downloads.show_csv(changed, "settings")
