"""Statistics against depth: any of them, or one of the ready views."""

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from analysis.payload.extras import Part
from analysis.show.figures import layers as figures
from analysis.show.figures.theme import ROLE_LABELS, STATISTIC_LABELS
from analysis.vocabulary import ROLES, Statistic, TokenRole
from pages.components.frame import picker, shell
from pages.components.layers import tables
from pages.components.layers import views as layer_views
from pages.components.layers.views import View
from pages.components.shared import controls, derived, downloads, fairness, selection
from pages.components.shared.text import plain

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
with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
    signed = statistic is Statistic.MEAN and controls.switch_signed()
    scale = controls.choose_scale(signed=signed)
    facets = selection.switch(
        "facets",
        "A panel for each representation",
        default=False,
        help="Each with an axis of its own. Several versions always have panels.",
    )
    storage = controls.switch_storage([version.table for version in versions])

curves = []
for version in versions:
    parts: list[tuple[list[str], NDArray[np.float32]]] = [
        ([*ROLES], derived.aggregate(version.reading, statistic, aggregate, signed=signed))
    ]
    if storage:
        extras = version.extras
        found = derived.aggregate_storage(version.reading, statistic, aggregate, signed=signed)
        if found is None:
            st.info(f"{plain(version.name)}: {extras.why_absent(Part.STORAGE)}")
        else:
            parts.append((list(extras.storage_roles), found))
    curves += [
        figures.DepthCurve(
            version.table.layers,
            values[:, representation.position, names.index(role)],
            representation,
            role,
            version.name,
        )
        for names, values in parts
        for representation in representations
        for role in names
        if role in roles or role not in ROLES
    ]


def tabulate() -> pd.DataFrame:
    """Return what is drawn, with every other aggregate."""
    rows: list[pd.DataFrame] = []
    for version in versions:
        found = [derived.tabulate_depth(version.reading, statistic, signed=signed)]
        if storage:
            of_registers = derived.tabulate_storage(version.reading, statistic, signed=signed)
            found += [] if of_registers is None else [of_registers]
        rows += [frame.assign(version=version.name) for frame in found]
    return pd.concat(rows)


downloads.show_figure(
    figures.build_depth_curves(
        curves,
        statistic=statistic,
        aggregate=aggregate.value,
        tapped=versions[0].table.tapped_layers,
        scale=scale,
        signed=signed,
        facets=facets,
        mode=downloads.mode(),
    ),
    "layers",
    tabulate,
)
if statistic is Statistic.MAX_ABS:
    fairness.warn_of_versions(versions)
    first = versions[0].table
    last = int(first.layers[-1])
    tokens = {ROLE_LABELS[role]: first.count(last, role) for role in roles}
    if storage:
        tokens["each register"] = first.count(last, TokenRole.CLS)  # one per image too
    fairness.warn_of_roles(tokens)
with st.expander("Table", on_change="rerun", key="layers table") as table:
    if table.open:
        sized = statistic is Statistic.MEAN and not signed
        st.caption(f"{'|mean|' if sized else STATISTIC_LABELS[statistic]}, over channels.")
        tables.show_depth(tabulate())
