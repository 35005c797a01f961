"""One channel: through depth, among its neighbours, among all channels of a layer."""

import streamlit as st

from analysis.language import _
from analysis.read.frames import Aggregate
from analysis.read.outliers import rank_channel
from analysis.show.figures.axes import Scale
from analysis.show.figures.theme import ROLE_LABELS
from analysis.show.views import channels as views
from analysis.vocabulary import Cell, Representation, Statistic, TokenRole
from pages.components.channels import now, plane
from pages.components.frame import picker, shell
from pages.components.shared import controls, derived, downloads, fairness, folds, selection

shell.open_page(_("Channels"))
first = st.container(horizontal=True, gap="medium", vertical_alignment="top")
with first:
    versions = picker.read_versions()
    version = picker.choose_one(versions)
table, name, mode = version.table, version.name, downloads.mode()
course = st.container()
with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
    representation = controls.choose_representation()
    role = controls.choose_role()
layer = controls.choose_layer(table)
cell = Cell(layer, representation, role)

with course:
    largest = table.get(int(table.layers[-1]), representation, role, Statistic.MAX_ABS).argmax()
    with first:
        channel = selection.choose_integer(
            "channel",
            _("Channel"),
            default=int(largest),
            low=0,
            high=table.channels - 1,
            help=_(
                "Number of the channel, from 0; at first the largest of the last "
                "layer. A click on a point or a row below, or on the Outliers "
                "page, leads to its channel."
            ),
        )
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        statistic = controls.choose_statistic()
        is_whole = controls.switch_cells()
    lines = [(r, t) for r in Representation for t in TokenRole] if is_whole else [cell[1:]]
    signed = statistic is Statistic.MEAN
    symlog = signed and controls.choose_scale(signed=True) is Scale.SYMLOG
    medians = None if signed else derived.aggregate(version.reading, statistic, Aggregate.MEDIAN)
    downloads.show(
        views.through_depth(
            *(table, name, channel, statistic, lines),
            medians=medians,
            other=now.find_other(version, versions),
            symlog=symlog,
            mode=mode,
        )
    )
    if statistic is Statistic.MAX_ABS:
        fairness.warn_of_roles({ROLE_LABELS[r]: table.count(layer, r) for _unused, r in lines})
    with folds.fold(_("Its rank through depth"), views.RANK) as is_open:
        if is_open:
            ranks = rank_channel(table, channel)
            downloads.show(views.rank_through_depth(table, name, channel, ranks, lines, mode))

now.show_numbers(version, cell, channel)
others = (
    [line for line in lines if line != cell[1:]] if is_whole and controls.switch_others() else []
)
downloads.show(
    views.histogram(table, name, cell, statistic, channel=channel, others=others, mode=mode)
)
plane.show(version, cell, statistic, channel)
now.show_neighbours(version, cell, channel)
