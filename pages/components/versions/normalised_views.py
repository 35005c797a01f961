"""What is left to compare between different backbones: normalised outputs, layer by layer."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from analysis.read.frames import aggregate_channels, layer_frame
from analysis.show.figures.layers import DepthCurve, build_depth_curves
from analysis.vocabulary import Representation
from pages.components.shared import controls, downloads
from pages.components.shared.version import Version

NORMALISED = (Representation.PER_LAYER_LN, Representation.GLOBAL_LN)


def show(a: Version, b: Version) -> None:
    """Show both versions' layers after a LayerNorm, aggregated over channels."""
    st.info(
        "These two cannot be compared number by number: no channel of one is a channel of the "
        "other. What is left are their normalised outputs, layer by layer."
    )
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        statistic = controls.choose_statistic()
        aggregate = controls.choose_aggregate()
        roles = controls.choose_roles()
    curves = [
        DepthCurve(
            version.table.layers,
            aggregates[:, representation.position, role.position],
            representation,
            role,
            version.name,
        )
        for version in (a, b)
        for aggregates in [aggregate_channels(version.table, statistic, aggregate)]
        for representation in NORMALISED
        for role in roles
    ]

    def tabulate() -> pd.DataFrame:
        frame = pd.concat(
            layer_frame(version.table, statistic).assign(version=version.name) for version in (a, b)
        )
        return frame[frame["representation"] != str(Representation.PRE)]

    downloads.show_figure(
        build_depth_curves(
            curves, statistic=statistic, aggregate=aggregate.value, mode=downloads.mode()
        ),
        "normalised layers",
        tabulate,
    )
