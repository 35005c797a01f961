"""Where one channel stands in a layer: its numbers, and its neighbours in the ranking."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.language import _
from analysis.payload.table import StatsTable
from analysis.read.digits import show_digits
from analysis.read.frames import channel_frame
from analysis.read.outliers import find_neighbours, rank_channel
from analysis.read.scores import Score, score_channels
from analysis.read.spread import rank_all, summarize_spread
from analysis.vocabulary import Cell
from pages.components.channels import tables
from pages.components.shared import channel_links, downloads
from pages.components.shared.version import Version

METRIC_WIDTH = 175
"""Pixels: five in a row on a wide page, three and two on a narrow one."""


def find_other(version: Version, picked: Sequence[Version]) -> tuple[str, StatsTable] | None:
    """Return the first other version that is looked at, where it has the same layers and channels.

    Returns:
        Its name and its table.
    """
    for other in picked:
        if other.ref.key != version.ref.key:
            layers = other.table.layers.tolist() == version.table.layers.tolist()
            alike = layers and other.table.channels == version.table.channels
            return (other.name, other.table) if alike else None
    return None


def show_numbers(version: Version, cell: Cell, channel: int) -> None:
    """Show the channel's rank and statistics in the layer."""
    table, values = version.table, version.table[cell]
    place = table.position(cell.layer), cell.representation.position, cell.role.position
    rank = int(rank_channel(table, channel)[place])
    times = float(score_channels(values, Score.TIMES_MEDIAN)[channel])
    mean, std, max_abs = values[:, channel]
    with st.container(horizontal=True):
        for label, value, help in (
            (
                _("Rank in layer {layer}").format(layer=cell.layer),
                _("{rank:,} of {channels:,}").format(rank=rank, channels=table.channels),
                _("By max |x|."),
            ),
            (_("max |x|"), show_digits(max_abs, 4), _("Largest absolute value over all tokens.")),
            (_("× median"), show_digits(times, 4), _("max |x| over the median channel's.")),
            (_("mean"), show_digits(mean, 4), _("Over all tokens, signed.")),
            (_("std"), show_digits(std, 4), _("Standard deviation over all tokens.")),
        ):
            st.metric(label, value, border=True, help=help, width=METRIC_WIDTH)


def show_neighbours(version: Version, cell: Cell, channel: int) -> None:
    """Show how the statistics are spread, and the channels of about the same rank."""
    table, name = version.table, version.name
    spread = summarize_spread(table[cell], channel)
    tables.show_spread(spread, channel)
    downloads.show_csv(spread, "spread", name)
    st.header(_("Neighbours in the ranking by max |x|"))
    neighbours = find_neighbours(table, *cell, channel)
    # A table for each channel: with the next one's neighbours the selected row would be another.
    row = tables.show_channels(neighbours, f"neighbours of {channel}", marked=channel)
    channel_links.turn_to(row, f"neighbours of {channel}")
    with st.expander(_("All channels"), on_change="rerun", key="all channels") as expander:
        if expander.open:
            everything = channel_frame(table, *cell)
            ranked = everything.assign(rank=rank_all(table[cell]))
            ranked = ranked[["rank", *everything.columns]]
            channel_links.turn_to(tables.show_channels(ranked, "every channel"), "every channel")
            downloads.show_csv(ranked, "every channel", name)
