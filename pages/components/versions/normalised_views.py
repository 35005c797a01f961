"""What is left to compare between different backbones: normalised outputs, layer by layer."""

from __future__ import annotations

import streamlit as st

from analysis.language import _
from analysis.show.views.normalised import normalised_layers
from pages.components.shared import controls, downloads
from pages.components.shared.version import Version


def show(a: Version, b: Version) -> None:
    """Show both versions' layers after a LayerNorm, aggregated over channels."""
    st.info(
        _(
            "These two cannot be compared number by number: no channel of one "
            "is a channel of the other. What is left are their normalised "
            "outputs, layer by layer."
        )
    )
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        statistic = controls.choose_statistic()
        aggregate = controls.choose_aggregate()
        roles = controls.choose_roles()
    downloads.show(
        normalised_layers(
            (a.table, b.table), (a.name, b.name), statistic, aggregate, roles, downloads.mode()
        )
    )
