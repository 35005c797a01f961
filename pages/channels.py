"""One channel: through depth, among its neighbours, among all channels of a layer."""

import numpy as np
import streamlit as st

from analysis.read.frames import Aggregate, channel_depth_frame, channel_frame, tabulate_cells
from analysis.read.outliers import find_neighbours, rank_channel
from analysis.read.scores import Score, score_channels
from analysis.read.spread import rank_all, summarize_spread
from analysis.show.figures import channels as figures
from analysis.show.figures import histograms
from analysis.show.figures.axes import Scale
from analysis.show.figures.theme import (
    REPRESENTATION_LABELS,
    ROLE_LABELS,
    STATISTIC_LABELS,
    describe_unit,
)
from analysis.vocabulary import STATISTICS, Statistic
from pages.components.channels import plane as channel_plane
from pages.components.channels import tables
from pages.components.frame import picker, shell
from pages.components.shared import channel_links, controls, derived, downloads, fairness, selection

# Pixels: five in a row on a wide page, three and two on a narrow one.
METRIC_WIDTH = 175

shell.open_page("Channels")
version = picker.read_one()
table, mode = version.table, downloads.mode()

with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
    representation = controls.choose_representation()
    role = controls.choose_role()
    last = table.get(int(table.layers[-1]), representation, role, Statistic.MAX_ABS)
    channel = selection.choose_integer(
        "channel",
        "Channel",
        default=int(last.argmax()),
        low=0,
        high=table.channels - 1,
        help="Number of the channel, from 0; at first the largest of the last layer. A click on a "
        "point or a row below, or on the Outliers page, leads to its channel.",
    )
layer = controls.choose_layer(table)
at = table.position(layer)
cell = np.stack([table.get(layer, representation, role, s) for s in STATISTICS])
ranks = rank_channel(table, channel)
mean, std, max_abs = cell[:, channel]
here = f"Layer {layer}: {REPRESENTATION_LABELS[representation]}, {ROLE_LABELS[role]} tokens"

with st.container(horizontal=True):
    rank = int(ranks[at, representation.position, role.position])
    times = float(score_channels(cell, Score.TIMES_MEDIAN)[channel])
    for label, value, help in (
        (f"Rank in layer {layer}", f"{rank:,} of {table.channels:,}", "By max |x|."),
        ("max |x|", f"{max_abs:.4g}", "Largest absolute value over all tokens."),
        ("× median", f"{times:.4g}", "max |x| over the median channel's."),
        ("mean", f"{mean:.4g}", "Over all tokens, signed."),
        ("std", f"{std:.4g}", "Standard deviation over all tokens."),
    ):
        st.metric(label, value, border=True, help=help, width=METRIC_WIDTH)

st.header(f"Channel {channel} through depth")
with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
    statistic = controls.choose_statistic()
    representations = controls.choose_representations()
    roles = controls.choose_roles()
cells = [(r, t) for r in representations for t in roles]
places = [(r.position, t.position) for r, t in cells]
course = table.values[..., statistic.position, channel]
signed = statistic is Statistic.MEAN
symlog = signed and controls.choose_scale(signed=True) is Scale.SYMLOG
medians = None if signed else derived.aggregate(version.reading, statistic, Aggregate.MEDIAN)
downloads.show_figure(
    figures.build_channel_depth(
        table.layers,
        np.stack([course[:, i, j] for i, j in places]),
        cells,
        statistic=statistic,
        reference=None if medians is None else np.stack([medians[:, i, j] for i, j in places]),
        tapped=table.tapped_layers,
        symlog=symlog,
        mode=mode,
    ),
    "channel through depth",
    lambda: channel_depth_frame(table, channel),
)
if not signed:
    st.caption(f"Thin lines: the median channel's {STATISTIC_LABELS[statistic]}.")
if statistic is Statistic.MAX_ABS:
    fairness.warn_of_roles({ROLE_LABELS[r]: table.count(layer, r) for r in roles})
downloads.show_figure(
    figures.build_rank_curves(
        table.layers,
        np.stack([ranks[:, i, j] for i, j in places]),
        cells,
        channels=table.channels,
        tapped=table.tapped_layers,
        mode=mode,
    ),
    "rank through depth",
    lambda: tabulate_cells(table.layers, ranks, "rank"),
)

st.header(here)
everything = channel_frame(table, layer, representation, role)
size_label = "|mean|" if signed else STATISTIC_LABELS[statistic]
others = {}
if controls.switch_others():
    drawn = table.values[at, ..., statistic.position, :]
    others = {
        cell: drawn[place]
        for cell, place in zip(cells, places, strict=True)
        if cell != (representation, role)
    }
units = dict.fromkeys(describe_unit(r) for r in (representation, *(r for r, _ in others)))
downloads.show_figure(
    histograms.build_value_histogram(
        cell[statistic.position],
        channel=channel,
        value_label=f"{size_label} ({', '.join(units)})",
        others=others,
        mode=mode,
    ),
    "all channels",
    everything,
)
channel_plane.show(version, layer, representation, role, statistic, channel)
spread = summarize_spread(cell, channel)
tables.show_spread(spread, channel)
downloads.show_csv(spread, "spread")
st.markdown("**Neighbours in the ranking by max |x|**")
neighbours = find_neighbours(table, layer, representation, role, channel)
# A table for each channel: with the next one's neighbours the selected row would be another.
row = tables.show_channels(neighbours, f"neighbours of {channel}", marked=channel)
channel_links.turn_to(row, f"neighbours of {channel}")
with st.expander("All channels", on_change="rerun", key="all channels") as expander:
    if expander.open:
        ranked = everything.assign(rank=rank_all(cell))[["rank", *everything.columns]]
        channel_links.turn_to(tables.show_channels(ranked, "every channel"), "every channel")
        downloads.show_csv(ranked, "every channel")
