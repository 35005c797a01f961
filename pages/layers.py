"""Any statistic against depth: representations, roles and versions in one figure."""

import pandas as pd
import streamlit as st

from analysis.figures import layers as figures
from analysis.figures.theme import STATISTIC_LABELS
from analysis.tables import REPRESENTATIONS, ROLES, aggregate_channels, layer_frame
from analysis.vocabulary import Statistic
from pages.components import controls, downloads, picker, selection, shell

shell.open_page("Layers")
versions = picker.read_versions()

with st.container(horizontal=True, gap="small", vertical_alignment="top"):
    statistic = controls.choose_statistic()
    aggregate = controls.choose_aggregate()
    representations = controls.choose_representations()
    roles = controls.choose_roles()
    log = selection.switch("log", "Log scale", default=True)

curves = [
    figures.DepthCurve(
        version.table.layers,
        aggregates[:, REPRESENTATIONS.index(representation), ROLES.index(role)],
        representation,
        role,
        version.name,
    )
    for version in versions
    for aggregates in [aggregate_channels(version.table, statistic, aggregate)]
    for representation in representations
    for role in roles
]
frame = pd.concat(
    layer_frame(version.table, statistic).assign(version=version.name) for version in versions
)
downloads.show_figure(
    figures.build_depth_curves(
        curves,
        statistic=statistic,
        aggregate=aggregate.value,
        tapped=versions[0].table.tapped_layers,
        log=log,
        mode=downloads.mode(),
    ),
    "layers",
    frame,
)
if statistic is Statistic.MAX_ABS and len(roles) > 1:
    st.caption(
        "The largest absolute value grows with the number of tokens, and there are many more "
        "patch tokens than CLS tokens: compare depths, not the two kinds of tokens."
    )
with st.expander("Table", on_change="rerun", key="layers table") as table:
    if table.open:
        st.caption(f"{STATISTIC_LABELS[statistic]}, aggregated over channels.")
        st.dataframe(frame, hide_index=True, key="layers frame")
