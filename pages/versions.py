"""What differs between two versions, whether it is more than noise, and whether they compare."""

import streamlit as st

from analysis.errors import PayloadError
from analysis.read.compare.config_diff import config_diff
from analysis.show.figures.theme import REPRESENTATION_LABELS, ROLE_LABELS
from analysis.vocabulary import Cell
from pages.components.frame import shell
from pages.components.shared import controls, downloads
from pages.components.shared.text import plain
from pages.components.versions import (
    channel_effects,
    differences,
    findings,
    frozen_twin,
    layer_drift,
    normalised_views,
    pair,
    reasons,
    tables,
    timeline,
    top_changes,
    top_overlap,
)

shell.open_page("Versions")
a, b, versions = pair.read()
names = (a.name, b.name)
frozen_twin.show(a, b)
comparison = differences.compare(a, b)
reasons.show(comparison.reasons)
if comparison.drift is None:
    normalised_views.show(a, b)
    st.stop()
try:
    noise = differences.measure_noise(a, b)
except PayloadError as error:
    st.error(plain(str(error)), icon=":material/error:")
    st.stop()

with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
    representation = controls.choose_representation()
    role = controls.choose_role()
    score = controls.choose_score()
    k = controls.choose_k(a.table.channels)
findings.show(differences.describe(a, b, representation), noise)

st.subheader("Drift of each layer")
with st.container(horizontal=True, gap="medium"):
    representations = controls.choose_representations()
    roles = controls.choose_roles()
layer_drift.show(
    comparison.layers, comparison.drift, noise, a.table.channels, representations, roles
)

st.subheader("Channels of a layer")
layer = controls.choose_layer(a.table, among=comparison.layers)
cell = Cell(layer, representation, role)
where = f"layer {layer}, {REPRESENTATION_LABELS[representation]}, {ROLE_LABELS[role]} tokens"
channel_effects.show(a, b, cell)

st.subheader(f"Top channels of {where}")
top = comparison.top(cell, score, k)
same_counts = a.table.count(layer, role) == b.table.count(layer, role)
tables.show_top_counts(top, names, same_counts=same_counts)
top_changes.show(top, a, b, layer, representation, role)
with st.expander("Table", on_change="rerun", key="top table") as table:
    if table.open:
        tables.show_top_comparison(top, names, score)
if not same_counts:
    st.caption(
        "The two were measured on different numbers of tokens, and max |x| grows with them: "
        "compare ranks, not sizes."
    )

top_overlap.show(a, b, score, k, representations, roles)
if len(versions) > 2:
    timeline.show(versions, layer, representation, role)

st.subheader("Settings that differ")
changed = config_diff(a.table.config, b.table.config)
if changed.empty:
    st.caption("The two training configs are the same.")
else:
    tables.show_config_diff(changed, names)
    downloads.show_csv(changed, "settings")
