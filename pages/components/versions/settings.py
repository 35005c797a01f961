"""Which settings of two trainings differ, and which of the adapters that were measured."""

from __future__ import annotations

import streamlit as st

from analysis.language import _
from analysis.read.compare.config_diff import config_diff, read_settings
from analysis.show.view import describe_pair
from pages.components.shared import downloads
from pages.components.shared.version import Version
from pages.components.versions import tables


def show(baseline: Version, version: Version) -> None:
    """Show the settings in which the configs differ; not the name, which stands in the title."""
    st.header(_("Settings that differ"))
    changed = config_diff(
        *(read_settings(part.table.config, part.table.run) for part in (baseline, version))
    )
    changed = changed[changed["key"] != "version"]
    if changed.empty:
        st.caption(_("The two training configs are the same."))
        return
    names = baseline.name, version.name
    tables.show_config_diff(changed, names)
    pair_of = describe_pair(*names)
    downloads.show_csv(changed, "settings", pair_of["about"], pair_of["columns"])
