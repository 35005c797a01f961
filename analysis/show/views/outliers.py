"""Channels that stand out: in one layer, through the network, and by the rule of LLM.int8()."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.language import _
from analysis.payload.table import StatsTable
from analysis.read.exceed import Exceedance, tabulate_exceedance
from analysis.read.frames import channel_frame, tabulate_cells
from analysis.read.outliers import SCORE_LABELS, SCORE_UNITS, ChannelMap, Ranking, Score
from analysis.show.figures import outliers as figures
from analysis.show.figures.theme import Mode, describe_cell, describe_channels, describe_unit
from analysis.show.view import View, describe_one
from analysis.show.views import sentences
from analysis.vocabulary import Cell, Representation, TokenRole

LOWEST_ROBUST = 0.1
"""Half of all channels are below the median: their robust score is negative."""


def label_score(score: Score, representation: Representation) -> str:
    """Return the axis title of a score, with its unit."""
    return f"{SCORE_LABELS[score]} ({SCORE_UNITS.get(score, describe_unit(representation))})"


def channels_of_layer(
    table: StatsTable, name: str, cell: Cell, score: Score, ranking: Ranking, mode: Mode = "light"
) -> View:
    """Return every channel of a layer, outliers marked.

    Args:
        table: The payload.
        name: The version.
        cell: Which channels.
        score: What they are ranked by.
        ranking: As `rank_channels` returns it.
        mode: Light or dark.
    """
    channels = channel_frame(table, *cell)
    robust = score is Score.ROBUST
    captions = []
    if 0 < ranking.threshold < float("inf"):
        captions.append(
            _("Dashed: from {threshold:.4g} on a channel is an outlier.").format(
                threshold=ranking.threshold
            )
        )
    if robust:
        captions.append(_("Channels about or below the median stand at the lower edge."))
    return View(
        _("Layer {layer}: {cell} tokens").format(
            layer=cell.layer, cell=describe_cell(cell.representation, cell.role)
        ),
        "channels of the layer",
        figures.build_channel_scatter(
            ranking.scores,
            outlier_mask=ranking.outlier_mask,
            statistics=channels[["mean", "std", "max_abs"]].to_numpy().T,
            top=ranking.frame["channel"].to_numpy(),
            value_label=label_score(score, cell.representation),
            level=ranking.threshold,
            floor=LOWEST_ROBUST if robust else None,
            mode=mode,
        ),
        channels,
        sentence=_("{outlier_count:,} of {channels:,} channels are outliers. ").format(
            outlier_count=ranking.outlier_count, channels=table.channels
        )
        + sentences.name_channels(
            SCORE_LABELS[score], ranking.scores, ranking.frame["channel"].tolist()
        ),
        caption=" ".join([*captions, _("A click on a point or a row leads to its channel.")]),
        clickable=True,
        **describe_one(name),
    )


def counts(table: StatsTable, name: str, found: NDArray[np.integer], mode: Mode = "light") -> View:
    """Return how many channels are outliers in every layer, ``[layers, 3, 2]``."""
    return View(
        _("Outliers in every layer"),
        "outliers per layer",
        figures.build_outlier_counts(
            table.layers, found, channels=table.channels, tapped=table.tapped_layers, mode=mode
        ),
        lambda: tabulate_cells(table.layers, found, "outliers"),
        sentence=sentences.name_largest_cell(_("number of outliers"), table.layers, found),
        **describe_one(name),
    )


def course(
    table: StatsTable,
    name: str,
    where: tuple[Representation, TokenRole],
    score: Score,
    found: ChannelMap,
    *,
    lines: bool = False,
    mode: Mode = "light",
) -> View:
    """Return what the top channels of any layer do in all others, as a map or as lines.

    Args:
        table: The payload.
        name: The version.
        where: Representation and role.
        score: What the channels were ranked by.
        found: As `map_channels` returns it.
        lines: Whether the first of them are drawn as lines.
        mode: Light or dark.
    """
    drawn = score if score is Score.MEAN_OVER_STD else Score.MAX_ABS
    label = label_score(drawn, where[0])
    arrays = found.values, found.channels, found.layers
    caption = ""
    if lines:
        tapped = table.tapped_layers
        figure = figures.build_channel_lines(*arrays, value_label=label, tapped=tapped, mode=mode)
    else:
        figure = figures.build_channel_marks(*arrays, value_label=label, mode=mode)
        if found.total > len(found.channels):
            caption = _(
                "The {count} most persistent of {total} channels that are among "
                "the top of any layer."
            ).format(count=len(found.channels), total=found.total)
    return View(
        _("Top channels through the network"),
        f"channels over depth {'lines' if lines else 'map'}",
        figure,
        lambda: _tabulate_course(found),
        sentence=sentences.name_largest(
            label,
            found.layers,
            [
                (_("channel {n}").format(n=n), row)
                for n, row in zip(found.channels, found.values, strict=True)
            ],
            digits=sentences.STATISTIC_DIGITS,
        ),
        caption=caption,
        rows=0 if lines else len(found.channels),
        clickable=True,
        **describe_one(name),
    )


def exceedance(
    table: StatsTable,
    name: str,
    where: tuple[int, TokenRole],
    found: Exceedance,
    mode: Mode = "light",
) -> View:
    """Return the share of tokens above 6, 20 and 100 per channel, and the rule of LLM.int8().

    Args:
        table: The payload.
        name: The version.
        where: Layer and role; of the block output.
        found: Of this layer and role.
        mode: Light or dark.
    """
    layer, role = where
    meets = np.flatnonzero(found.is_int8_outlier)
    listed = _(", ").join(map(str, meets[:20])) + (" ..." if len(meets) > 20 else "")
    verdict = _("{count} of {channels:,} channels meet the rule of LLM.int8()").format(
        count=len(meets), channels=table.channels
    )
    ranges = (
        _(
            " Bars: the range of neighbouring channels; only the {count} largest of a "
            "level are marks."
        )
        if figures.needs_ranges(found.share)
        else ""
    ).format(count=figures.MARKS)
    return View(
        _("Tokens beyond 6, 20 and 100: {channels}").format(
            channels=describe_channels(Cell(layer, Representation.PRE, role))
        ),
        "tokens beyond levels",
        figures.build_exceedance_scatter(found.share, found.layers_met, mode=mode),
        lambda: tabulate_exceedance(found),
        caption=_(
            "{verdict}{listed}. The rule: |x| beyond 6 in at least 6% of the "
            "tokens of at least 25% of the layers; such channels need more "
            "than 8 bits."
        ).format(verdict=verdict, listed=_(": {listed}").format(listed=listed) if listed else "")
        + ranges,
        clickable=True,
        **describe_one(name),
    )


def _tabulate_course(course: ChannelMap) -> pd.DataFrame:
    """Return the map as one row per channel and layer."""
    index = pd.MultiIndex.from_product([course.channels, course.layers], names=["channel", "layer"])
    return pd.DataFrame({"value": course.values.ravel()}, index=index).reset_index()
