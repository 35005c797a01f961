"""Channels that stand out: in one layer, and through all of them."""

import streamlit as st

from analysis.language import _
from analysis.read.outliers import SCORE_HELP, rank_channels
from analysis.show.views import outliers as views
from analysis.vocabulary import Cell
from pages.components.frame import picker, shell
from pages.components.outliers import depth_course, exceedance, role_overlap, tables
from pages.components.shared import channel_links, controls, derived, downloads

shell.open_page(_("Outliers"))
with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
    version = picker.read_one()
    table = version.table
    layer = controls.choose_layer(table)
with st.container(horizontal=True, gap="medium"):
    representation = controls.choose_representation()
    role = controls.choose_role()
    score = controls.choose_score()
    threshold = controls.choose_threshold(score)
figure = st.container()
with st.container(horizontal=True, vertical_alignment="bottom"):
    k = controls.choose_k(table.channels)
    numbers = st.container(horizontal=True)

cell = Cell(layer, representation, role)
ranking = rank_channels(table, *cell, score, k, threshold)
with figure:
    mode = downloads.mode()
    view = views.channels_of_layer(table, version.name, cell, score, ranking, mode)
    channel_links.follow(downloads.show(view))
with numbers:
    st.metric(_("Outliers"), f"{ranking.outlier_count:,}", border=True, help=SCORE_HELP[score])
    st.metric(
        _("Massive"),
        f"{ranking.massive_count:,}",
        border=True,
        help=_("Channels above 100 and above 1000 times the typical activation of the layer."),
    )
channel_links.follow(tables.show_ranking(ranking.frame, table, representation, role, score))
downloads.show_csv(ranking.frame, "ranking", version.name)

st.header(_("Through the network"))
depth_course.show(version, representation, role, score, k, threshold)
persistent = derived.persistence(version.reading, representation, role, score, k, threshold)
channel_links.follow(tables.show_persistence(persistent, table.num_layers))
downloads.show_csv(persistent, "persistence", version.name)

st.header(_("CLS, patches and registers in layer {layer}").format(layer=layer))
role_overlap.show(version, layer, representation, score, threshold)
exceedance.show(version, layer, role)
