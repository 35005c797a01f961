"""Statistics against depth: any of them, or one of the ready views."""

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from analysis.extra_tables import Part
from analysis.figures import layers as figures
from analysis.figures.theme import STATISTIC_LABELS
from analysis.tables import REPRESENTATIONS, ROLES
from analysis.vocabulary import Statistic
from pages.components import controls, derived, downloads, layer_views, picker, selection, shell
from pages.components.layer_views import View

shell.open_page("Layers")
view = layer_views.choose_view()
SHOW = {
    View.TOP: layer_views.show_top,
    View.NORMS: layer_views.show_norms,
    View.RANGE: layer_views.show_range,
    View.SHARED_NORM: layer_views.show_shared_norm,
    View.ADVICE: layer_views.show_advice,
}
if view in SHOW:
    SHOW[view](picker.read_one())
    st.stop()

versions = picker.read_versions()
with st.container(horizontal=True, gap="small", vertical_alignment="top"):
    statistic = controls.choose_statistic()
    aggregate = controls.choose_aggregate()
    representations = controls.choose_representations()
    roles = controls.choose_roles()
with st.container(horizontal=True, gap="medium"):
    log = selection.switch("log", "Log scale", default=True)
    facets = selection.switch("facets", "A panel for each representation", default=False)
    storage = controls.switch_storage([version.table for version in versions])

curves = []
frames = []
for version in versions:
    parts: list[tuple[list[str], NDArray[np.float32]]] = [
        ([*ROLES], derived.aggregate(version.ref, statistic, aggregate))
    ]
    frames.append(derived.tabulate_depth(version.ref, statistic).assign(version=version.name))
    if storage:
        extras = derived.read_extras(version.ref)
        found = derived.aggregate_storage(version.ref, statistic, aggregate)
        if found is None:
            st.info(f"{version.name}: {extras.why_absent(Part.STORAGE)}")
        else:
            parts.append((list(extras.storage_roles), found))
            stored = derived.tabulate_storage(version.ref, statistic)
            if stored is not None:
                frames.append(stored.assign(version=version.name))
    curves += [
        figures.DepthCurve(
            version.table.layers,
            values[:, REPRESENTATIONS.index(representation), names.index(role)],
            representation,
            role,
            version.name,
        )
        for names, values in parts
        for representation in representations
        for role in names
        if role in roles or role not in ROLES
    ]
frame = pd.concat(frames)
downloads.show_figure(
    figures.build_depth_curves(
        curves,
        statistic=statistic,
        aggregate=aggregate.value,
        tapped=versions[0].table.tapped_layers,
        log=log,
        facets=facets,
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
