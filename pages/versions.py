"""What differs between a version and its baseline, whether it is more than noise, and why."""

import streamlit as st

from analysis.errors import PayloadError
from analysis.language import _
from analysis.vocabulary import Cell, Representation
from pages.components.frame import shell
from pages.components.shared import controls
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
    settings,
    tables,
    timeline,
    top_changes,
    top_overlap,
)

heading = shell.open_page(_("Versions"))
first = st.container(horizontal=True, gap="small", vertical_alignment="bottom")
version, baseline, versions = pair.read(first)
names = baseline.name, version.name
name, name_2 = pair.name_briefly(version, baseline)
heading.title(
    _("Versions: {name} against {name_2}").format(name=plain(name), name_2=plain(name_2)),
    anchor=False,
)
comparison = differences.compare(baseline, version)
in_line = reasons.is_agreed(comparison.reasons)
with first if in_line else st.container(horizontal=True, vertical_alignment="center"):
    reasons.show(comparison.reasons)
    pair.offer_swap(version, baseline, versions)
if comparison.drift is None:  # and then no noise either
    frozen_twin.show(version, baseline)
    normalised_views.show(version, baseline)
    st.stop()
try:
    noise = differences.measure_noise(baseline, version)
except PayloadError as error:
    st.error(plain(str(error)), icon=":material/error:")
    st.stop()

answer = st.container()
with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
    representation = controls.choose_representation()
    role = controls.choose_role()
    score = controls.choose_score()
    k = controls.choose_k(version.table.channels)
    negligible = controls.choose_negligible()
if noise is not None:
    findings.show(differences.describe(baseline, version, representation, negligible), above=answer)
with answer:
    sentences = differences.describe(baseline, version, Representation.PRE, negligible)
    layer_drift.show_drift(comparison, sentences, negligible)
    frozen_twin.show(version, baseline)
layer_drift.show_flagged(comparison)

layer = controls.choose_layer(version.table, among=comparison.layers)
cell = Cell(layer, representation, role)
channel_effects.show(baseline, version, cell, negligible)
top = comparison.top(cell, score, k)
same_counts = version.table.count(layer, role) == baseline.table.count(layer, role)
tables.show_top_counts(top, names, same_counts=same_counts)
top_changes.show(top, comparison, cell, baseline, version)
with st.expander(_("Table"), on_change="rerun", key="top table") as table:
    if table.open:
        tables.show_top_comparison(top, names, score)
if not same_counts:
    tables.warn_of_other_counts()
top_overlap.show(baseline, version, score, k)
if len(versions) > 2:
    timeline.show(versions, layer, representation, role)

reasons.show_agreed(comparison.reasons)
settings.show(baseline, version)
