"""Where one channel stands in a layer: its numbers, and its neighbours in the ranking."""

from __future__ import annotations

import streamlit as st

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


def show_numbers(version: Version, cell: Cell, channel: int) -> None:
    """Show the channel's rank and statistics in the layer."""
    table, values = version.table, version.table[cell]
    place = table.position(cell.layer), cell.representation.position, cell.role.position
    rank = int(rank_channel(table, channel)[place])
    times = float(score_channels(values, Score.TIMES_MEDIAN)[channel])
    mean, std, max_abs = values[:, channel]
    with st.container(horizontal=True):
        for label, value, help in (
            (f"Rank in layer {cell.layer}", f"{rank:,} of {table.channels:,}", "By max |x|."),
            ("max |x|", f"{max_abs:.4g}", "Largest absolute value over all tokens."),
            ("× median", f"{times:.4g}", "max |x| over the median channel's."),
            ("mean", f"{mean:.4g}", "Over all tokens, signed."),
            ("std", f"{std:.4g}", "Standard deviation over all tokens."),
        ):
            st.metric(label, value, border=True, help=help, width=METRIC_WIDTH)


def show_neighbours(version: Version, cell: Cell, channel: int) -> None:
    """Show how the statistics are spread, and the channels of about the same rank."""
    table, name = version.table, version.name
    spread = summarize_spread(table[cell], channel)
    tables.show_spread(spread, channel)
    downloads.show_csv(spread, "spread", name)
    st.header("Neighbours in the ranking by max |x|")
    neighbours = find_neighbours(table, *cell, channel)
    # A table for each channel: with the next one's neighbours the selected row would be another.
    row = tables.show_channels(neighbours, f"neighbours of {channel}", marked=channel)
    channel_links.turn_to(row, f"neighbours of {channel}")
    with st.expander("All channels", on_change="rerun", key="all channels") as expander:
        if expander.open:
            everything = channel_frame(table, *cell)
            ranked = everything.assign(rank=rank_all(table[cell]))
            ranked = ranked[["rank", *everything.columns]]
            channel_links.turn_to(tables.show_channels(ranked, "every channel"), "every channel")
            downloads.show_csv(ranked, "every channel", name)
