"""One channel: through depth, in the histogram of a layer, and in the plane of two statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.language import _
from analysis.payload.table import StatsTable
from analysis.read.frames import (
    channel_depth_frame,
    channel_frame,
    tabulate_cells,
    tabulate_pair,
)
from analysis.read.spread import correlate_pair, correlate_ranks
from analysis.show.figures import channels as figures
from analysis.show.figures.histograms import build_value_histogram
from analysis.show.figures.theme import (
    REPRESENTATION_LABELS,
    STATISTIC_LABELS,
    Mode,
    describe_channels,
    describe_unit,
)
from analysis.show.view import View, describe_one, describe_pair
from analysis.show.views import sentences
from analysis.vocabulary import Cell, Representation, Statistic, TokenRole

Floats = NDArray[np.floating]
Lines = Sequence[tuple[Representation, TokenRole]]

RANK = "rank through depth"
"""Name of the view of a channel's rank."""


def through_depth(
    table: StatsTable,
    name: str,
    channel: int,
    statistic: Statistic,
    lines: Lines,
    *,
    medians: Floats | None = None,
    other: tuple[str, StatsTable] | None = None,
    symlog: bool = False,
    mode: Mode = "light",
) -> View:
    """Return one channel's statistic in every layer.

    Args:
        table: The payload.
        name: The version.
        channel: Its number.
        statistic: What is drawn.
        lines: Representation and role of each line.
        medians: ``[layers, 3, 2]``: the median over all channels, drawn thin.
        other: Another version with the same layers and channels, drawn thin instead.
        symlog: Logarithmic on both sides of zero, for the mean.
        mode: Light or dark.
    """
    course = table.values[..., statistic.position, channel]
    label = STATISTIC_LABELS[statistic]
    thin, caption, about = medians, "", describe_one(name)
    if medians is not None:
        caption = _("Thin lines: the median channel's {label}.").format(label=label)
    if other is not None:
        thin = other[1].values[..., statistic.position, channel]
        caption = _("Thin lines: the same channel in {name}.").format(name=other[0])
        about = describe_pair(other[0], name) | {"columns": {}}
    return View(
        _("Channel {channel} through depth").format(channel=channel),
        "channel through depth",
        figures.build_channel_depth(
            table.layers,
            _stack(course, lines),
            lines,
            statistic=statistic,
            reference=None if thin is None else _stack(thin, lines),
            reference_name=_("median channel") if other is None else other[0],
            tapped=table.tapped_layers,
            symlog=symlog,
            mode=mode,
        ),
        lambda: pd.concat(
            channel_depth_frame(each, channel).assign(version=of)
            for of, each in [(name, table), *([] if other is None else [other])]
        ),
        sentence=sentences.name_largest_cell(
            label, table.layers, course, lines, digits=sentences.STATISTIC_DIGITS
        ),
        caption=caption,
        **about,
    )


def rank_through_depth(
    table: StatsTable,
    name: str,
    channel: int,
    ranks: NDArray[np.integer],
    lines: Lines,
    mode: Mode = "light",
) -> View:
    """Return one channel's rank by max |x| in every layer, ``[layers, 3, 2]``."""
    return View(
        _("Rank of channel {channel} by max |x|").format(channel=channel),
        RANK,
        figures.build_rank_curves(
            table.layers,
            _stack(ranks, lines),
            lines,
            channels=table.channels,
            tapped=table.tapped_layers,
            mode=mode,
        ),
        lambda: tabulate_cells(table.layers, ranks, "rank"),
        sentence=sentences.name_largest_cell(_("rank"), table.layers, ranks, lines, smallest=True),
        **describe_one(name),
    )


def histogram(
    table: StatsTable,
    name: str,
    cell: Cell,
    statistic: Statistic = Statistic.MAX_ABS,
    *,
    channel: int | None = None,
    others: Lines = (),
    mode: Mode = "light",
) -> View:
    """Return how a statistic is spread over the channels of a layer.

    Args:
        table: The payload.
        name: The version.
        cell: Which channels.
        statistic: What is counted; of the mean its size.
        channel: The channel to mark.
        others: Representations and roles that are outlined beside it.
        mode: Light or dark.
    """
    units = dict.fromkeys(map(describe_unit, (cell.representation, *(r for r, _unused in others))))
    label = "|mean|" if statistic is Statistic.MEAN else STATISTIC_LABELS[statistic]
    return View(
        _("How {label} is spread over channels, {channels}").format(
            label=label, channels=describe_channels(cell)
        ),
        "all channels",
        build_value_histogram(
            table[cell][statistic.position],
            channel=channel,
            value_label=f"{label} ({', '.join(units)})",
            others={other: table[Cell(cell.layer, *other)][statistic.position] for other in others},
            mode=mode,
        ),
        lambda: channel_frame(table, *cell),
        **describe_one(name),
    )


def mean_std_plane(
    table: StatsTable, name: str, cell: Cell, channel: int | None = None, mode: Mode = "light"
) -> View:
    """Return every channel of a layer by |mean| and std."""
    correlations = [
        _("{a} and {b} {r:.2f}").format(a=_(a), b=_(b), r=r)
        for (a, b), r in correlate_ranks(table[cell]).items()
    ]
    return View(
        _("Mean, std and max |x| of every channel, {channels}").format(
            channels=describe_channels(cell)
        ),
        "mean and std",
        figures.build_mean_std_scatter(
            table[cell], channel=channel, unit=describe_unit(cell.representation), mode=mode
        ),
        lambda: channel_frame(table, *cell),
        caption=_describe_correlations(correlations),
        clickable=True,
        **describe_one(name),
    )


def pair_plane(
    table: StatsTable,
    name: str,
    cell: Cell,
    pair: tuple[Representation, Representation],
    statistic: Statistic,
    channel: int | None = None,
    mode: Mode = "light",
) -> View:
    """Return every channel of a layer by a statistic in two representations."""
    x, y = (np.abs(table[Cell(cell.layer, each, cell.role)][statistic.position]) for each in pair)
    labels = [REPRESENTATION_LABELS[each] for each in pair]
    correlation = correlate_pair(x, y)
    notes = (
        []
        if correlation is None
        else [
            _("{labels_1} and {labels_2} {correlation:.2f}").format(
                labels_1=labels[0], labels_2=labels[1], correlation=correlation
            )
        ]
    )
    return View(
        _("{statistic} in two representations, layer {layer}").format(
            statistic=STATISTIC_LABELS[statistic], layer=cell.layer
        ),
        "-".join(pair),
        figures.build_pair_scatter((x, y), pair, statistic=statistic, channel=channel, mode=mode),
        lambda: tabulate_pair((x, y), pair),
        caption=_describe_correlations(notes),
        clickable=True,
        **describe_one(name),
    )


def _describe_correlations(correlations: Sequence[str]) -> str:
    return (
        _("Rank correlation over channels: {correlations}.").format(
            correlations=_(", ").join(correlations)
        )
        if correlations
        else ""
    )


def _stack(values: NDArray[Any], lines: Lines) -> NDArray[Any]:
    """Return ``[lines, layers]`` of ``[layers, 3, 2]``."""
    return np.stack([values[:, r.position, t.position] for r, t in lines]) if lines else values[:0]
