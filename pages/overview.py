"""What was measured, with what, and whether the numbers can be trusted."""

import streamlit as st

from analysis.language import _
from analysis.show.views import layers
from analysis.show.views import overview as views
from pages.components.frame import baseline, picker, shell, tour
from pages.components.overview import answer, partial, tables
from pages.components.shared import cache, downloads, facts
from pages.components.shared.text import plain

heading = shell.open_page(_("Overview"))
versions = picker.read_versions()
version = picker.choose_one(versions)
heading.title(_("Overview: {name}").format(name=plain(version.name)), anchor=False)
table = version.table

error = facts.adapter_error(table)
if error:
    st.error(
        _(
            "The LoRA adapter was not loaded; the frozen backbone was measured instead. {error}"
        ).format(error=plain(error)),
        icon=":material/error:",
    )
nonfinite = sum(table.run.get("nonfinite_tokens") or [])
if nonfinite:
    st.error(
        _(
            "{nonfinite:,} token outputs were NaN or infinite and were left out of the statistics."
        ).format(nonfinite=nonfinite),
        icon=":material/error:",
    )

first = st.container()  # filled last: its laws and its noise take seconds at the first look
proof = views.lora_proof(table, version.name, downloads.mode())
if proof is not None:
    downloads.show(proof)
elif (top := version.extras.top()) is not None:
    downloads.show(layers.top(table, version.name, top, mode=downloads.mode()))
if version.partial:
    partial.show(version)
tour.offer(version)
for warning in facts.list_warnings(table):
    st.warning(plain(warning), icon=":material/warning:")

checks = cache.check_table(version.reading)
with first:
    answer.show(version, baseline.find(version, versions), checks)
st.header(_("Sanity of the numbers"))
broken = any(check.ok is False for check in checks)
with st.expander(_("The {count} checks").format(count=len(checks)), expanded=broken):
    tables.show_checks(checks)

st.header(_("Provenance"))
known = facts.tabulate(versions)
if len(versions) > 1:
    tables.show_differing(facts.keep_differing(known))
with st.expander(
    _("All {count} facts").format(count=len(known)), on_change="rerun", key="all facts"
) as every:
    if every.open:
        tables.show_facts(known)
downloads.show_csv(known, "facts")

skipped, count = facts.list_skipped(table)
if count:
    with st.expander(
        _("{count:,} images could not be read").format(count=count), icon=":material/broken_image:"
    ):
        if count > len(skipped):
            st.caption(_("The first {count:,} are named.").format(count=len(skipped)))
        st.dataframe(skipped, hide_index=True, key="skipped")
with st.expander(_("What the file holds"), on_change="rerun", key="contents") as contents:
    if contents.open:
        tables.show_contents(facts.tabulate_contents(table, version.extras))
with st.expander(_("Training config"), on_change="rerun", key="config") as config:
    if config.open:
        st.json(table.config, expanded=2)
