"""What was measured, with what, and whether the numbers can be trusted."""

import streamlit as st

from analysis.show.views import overview as views
from pages.components.frame import picker, shell, tour
from pages.components.overview import partial, tables
from pages.components.shared import cache, downloads, facts
from pages.components.shared.text import plain

shell.open_page("Overview")
versions = picker.read_versions()
version = picker.choose_one(versions)
table = version.table

error = facts.adapter_error(table)
if error:
    st.error(
        "The LoRA adapter was not loaded; the frozen backbone was measured instead. "
        f"{plain(error)}",
        icon=":material/error:",
    )
nonfinite = sum(table.run.get("nonfinite_tokens") or [])
if nonfinite:
    st.error(
        f"{nonfinite:,} token outputs were NaN or infinite and were left out of the statistics.",
        icon=":material/error:",
    )

with st.container(horizontal=True):
    st.metric("Version", version.name, border=True)
    st.metric("Backbone", str(table.backbone.get("backbone_name")), border=True)
    st.metric("Layers × channels", f"{table.num_layers} × {table.channels}", border=True)
    st.metric("Images", f"{table.num_images:,}", border=True)
    st.metric("Adapter", facts.describe_adapter(table), border=True)

tour.offer(version)

warnings = facts.list_warnings(table)
for warning in warnings:
    st.warning(plain(warning), icon=":material/warning:")

if version.partial:
    partial.show(version)

st.header("Sanity of the numbers")
checks = cache.check_table(version.reading)
tables.show_checks(checks)

proof = views.lora_proof(table, version.name, downloads.mode())
if proof is not None:
    downloads.show(proof)

st.header("Provenance")
known = facts.tabulate(versions)
tables.show_facts(known)
downloads.show_csv(known, "facts")

skipped, count = facts.list_skipped(table)
if count:
    with st.expander(f"{count:,} images could not be read", icon=":material/broken_image:"):
        if count > len(skipped):
            st.caption(f"The first {len(skipped):,} are named.")
        st.dataframe(skipped, hide_index=True, key="skipped")
with st.expander("What the file holds", on_change="rerun", key="contents") as contents:
    if contents.open:
        tables.show_contents(facts.tabulate_contents(table, version.extras))
with st.expander("Training config", on_change="rerun", key="config") as config:
    if config.open:
        st.json(table.config, expanded=2)
