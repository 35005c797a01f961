"""Which channels stand out: their ranking in a layer and their course through the network.

How many outliers there are never depends on how many are listed. `analysis.read.scores` says what a
score is; its names can be imported from here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.payload.table import StatsTable
from analysis.read.headroom import find_fp16_headroom, find_int8_levels
from analysis.read.scores import (
    DEFAULT_THRESHOLDS,
    SCORE_HELP,
    SCORE_LABELS,
    SCORE_UNITS,
    Score,
    find_level,
    find_massive,
    find_outliers,
    find_top,
    rank,
    score_channels,
)
from analysis.vocabulary import Cell, Representation, Statistic, TokenRole

__all__ = [
    "DEFAULT_THRESHOLDS",
    "SCORE_HELP",
    "SCORE_LABELS",
    "SCORE_UNITS",
    "ChannelMap",
    "Ranking",
    "Score",
    "count_outliers",
    "find_neighbours",
    "find_persistent",
    "map_channels",
    "rank_channel",
    "rank_channels",
    "rank_over_depth",
]


@dataclass(frozen=True)
class Ranking:
    """The channels of one layer, representation and role, ranked."""

    frame: pd.DataFrame
    """The best `k`: rank (from 1), channel, mean, std, max_abs, times_median, score, outlier,
    massive, constant, fp16_headroom, int8_levels (`analysis.read.headroom`), flags (the three in
    words)."""
    scores: NDArray[np.float64]
    """``[channels]``."""
    outlier_mask: NDArray[np.bool_]
    """``[channels]``."""
    massive_mask: NDArray[np.bool_]
    """``[channels]``."""
    threshold: float
    """From which score on a channel is an outlier, in units of `scores`; infinite where all
    channels are alike."""

    @property
    def outlier_count(self) -> int:
        """Outliers among all channels, however many rows are listed."""
        return int(self.outlier_mask.sum())

    @property
    def massive_count(self) -> int:
        """Massive channels among all channels."""
        return int(self.massive_mask.sum())


@dataclass(frozen=True)
class ChannelMap:
    """The course of the channels that are among the top of any layer."""

    channels: NDArray[np.int32]
    """``[rows]``, most persistent first."""
    layers: NDArray[np.int32]
    """``[layers]``."""
    values: NDArray[np.float32]
    """``[rows, layers]``: max |x|, or |mean| / std where that is the score."""
    total: int
    """Channels that are among the top of any layer; more than rows where the map was cut."""


def rank_channels(
    table: StatsTable,
    layer: int,
    representation: Representation,
    role: TokenRole,
    score: Score = Score.MAX_ABS,
    k: int = 20,
    threshold: float | None = None,
) -> Ranking:
    """Rank the channels of one layer; equal scores rank by channel number.

    Args:
        table: The payload.
        layer: The layer's number.
        representation: What of the block output.
        role: Which tokens.
        score: What to rank by.
        k: Rows of the frame; at most the number of channels.
        threshold: From which score on a channel is an outlier; `DEFAULT_THRESHOLDS` where None.
    """
    statistics = table[Cell(layer, representation, role)]
    scores = score_channels(statistics, score)
    outlier = find_outliers(statistics, score, threshold)
    massive = find_massive(statistics)
    top = np.argsort(-scores, kind="stable")[: max(k, 0)]
    typical = float(np.median(statistics[Statistic.MAX_ABS.position]))
    mean, std, max_abs = statistics[:, top]
    frame = pd.DataFrame(
        {
            "rank": np.arange(1, len(top) + 1, dtype=np.int32),
            "channel": top.astype(np.int32),
            "mean": mean,
            "std": std,
            "max_abs": max_abs,
            "times_median": score_channels(statistics, Score.TIMES_MEDIAN)[top],
            "score": scores[top],
            "outlier": outlier[top],
            "massive": massive[top],
            "constant": std == 0,
            "fp16_headroom": find_fp16_headroom(max_abs),
            "int8_levels": find_int8_levels(max_abs, typical),
        }
    )
    words = np.array(["outlier", "massive", "constant"])
    flags = frame[words].to_numpy(dtype=bool)
    frame["flags"] = [", ".join(words[row]) for row in flags]
    level = float(find_level(statistics, score, threshold))
    return Ranking(frame, scores, outlier, massive, level)


def count_outliers(
    table: StatsTable, score: Score, threshold: float | None = None
) -> NDArray[np.int64]:
    """Return the number of outliers of every cell, ``[layers, 3, 2]``; 0 where there are none."""
    return find_outliers(table.values, score, threshold).sum(axis=-1)


def rank_over_depth(
    table: StatsTable, representation: Representation, role: TokenRole, score: Score
) -> NDArray[np.int32]:
    """Return each channel's rank in every layer, ``[layers, channels]``; 1 is the largest."""
    scores = score_channels(_over_depth(table, representation, role), score)
    return rank(scores)


def rank_channel(table: StatsTable, channel: int) -> NDArray[np.int32]:
    """Return one channel's rank by max |x| in every cell, ``[layers, 3, 2]``; 1 is the largest.

    As everywhere, of equal channels the one of lower number ranks first.
    """
    max_abs = table.values[..., Statistic.MAX_ABS.position, :]
    own = max_abs[..., channel, None]
    before = (max_abs > own).sum(axis=-1) + (max_abs[..., :channel] == own).sum(axis=-1)
    return (1 + before).astype(np.int32)


def find_neighbours(
    table: StatsTable,
    layer: int,
    representation: Representation,
    role: TokenRole,
    channel: int,
    reach: int = 5,
) -> pd.DataFrame:
    """Return the channels that rank next to one by max |x|: rank, channel, mean, std, max_abs.

    Args:
        table: The payload.
        layer: The layer's number.
        representation: What of the block output.
        role: Which tokens.
        channel: In the middle, except near the ends of the ranking.
        reach: How many to list on each side.
    """
    mean, std, max_abs = table[Cell(layer, representation, role)]
    order = np.argsort(-max_abs, kind="stable")
    at = int(np.flatnonzero(order == channel)[0])
    first = max(at - reach, 0)
    near = order[first : at + reach + 1]
    return pd.DataFrame(
        {
            "rank": np.arange(first + 1, first + 1 + len(near), dtype=np.int32),
            "channel": near.astype(np.int32),
            "mean": mean[near],
            "std": std[near],
            "max_abs": max_abs[near],
        }
    )


def find_persistent(
    table: StatsTable,
    representation: Representation,
    role: TokenRole,
    score: Score = Score.MAX_ABS,
    k: int = 20,
    threshold: float | None = None,
) -> pd.DataFrame:
    """Follow the channels that are among the top k of any layer through all layers.

    Returns:
        One row per channel, those that are longest among the top first: channel, layers_in_top,
        layers_outlier, share (of all layers, as outlier), emergence_layer (where its longest
        unbroken run as an outlier begins; NA if never one), last_layer (the last as an outlier),
        peak_layer and peak (where max |x| is largest).
    """
    statistics = _over_depth(table, representation, role)
    in_top = find_top(score_channels(statistics, score), k)
    outlier = find_outliers(statistics, score, threshold)
    channels = np.flatnonzero(in_top.any(axis=0))
    outlier, max_abs = outlier[:, channels], statistics[:, Statistic.MAX_ABS.position, channels]
    ever = np.asarray(outlier.any(axis=0))
    last = table.num_layers - 1 - np.argmax(outlier[::-1], axis=0)
    peak = np.argmax(max_abs, axis=0)
    frame = pd.DataFrame(
        {
            "channel": channels.astype(np.int32),
            "layers_in_top": in_top[:, channels].sum(axis=0),
            "layers_outlier": outlier.sum(axis=0),
            "share": outlier.mean(axis=0),
            "emergence_layer": _where(ever, table.layers[_start_of_longest_run(outlier)]),
            "last_layer": _where(ever, table.layers[last]),
            "peak_layer": table.layers[peak],
            "peak": np.take_along_axis(max_abs, peak[None], axis=0)[0],
        }
    )
    order = ["layers_in_top", "layers_outlier", "peak"]
    return frame.sort_values(order, ascending=False, kind="stable", ignore_index=True)


def map_channels(
    table: StatsTable,
    representation: Representation,
    role: TokenRole,
    score: Score = Score.MAX_ABS,
    k: int = 20,
    max_rows: int = 60,
) -> ChannelMap:
    """Return the course through depth of the channels that are among the top k of any layer."""
    persistent = find_persistent(table, representation, role, score, k)
    channels = persistent["channel"].to_numpy()[:max_rows]
    statistics = _over_depth(table, representation, role)
    if score is Score.MEAN_OVER_STD:
        values = score_channels(statistics[..., channels], score)
    else:
        values = statistics[:, Statistic.MAX_ABS.position, channels]
    return ChannelMap(
        channels=channels,
        layers=table.layers.astype(np.int32),
        values=np.ascontiguousarray(values.T, dtype=np.float32),
        total=len(persistent),
    )


def _over_depth(
    table: StatsTable, representation: Representation, role: TokenRole
) -> NDArray[np.float32]:
    """Return ``[layers, 3, channels]``."""
    return table.values[:, representation.position, role.position]


def _start_of_longest_run(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return where, along the first axis, the longest run of True begins (the first of equals)."""
    length = np.zeros(mask.shape, dtype=np.int64)
    for i in range(len(mask)):
        length[i] = mask[i] * (1 + (length[i - 1] if i else 0))
    end = np.argmax(length, axis=0)
    return end - np.maximum(length.max(axis=0), 1) + 1


def _where(mask: NDArray[np.bool_], layers: NDArray[np.int64]) -> pd.Series[int]:
    return pd.Series(layers).astype("Int64").where(pd.Series(mask))
