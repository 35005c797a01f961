"""Which channels stand out: scores, rankings, and their course through the network.

An outlier is a channel whose score reaches a threshold; how many there are never depends on how
many are listed. A channel is *massive* by the rule of Sun et al. 2024 (Massive Activations in
Large Language Models): above 100, and above 1000 times the typical activation of its layer.
No score is ever NaN or infinite, also for constant, dead or single channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.tables import StatsTable
from analysis.vocabulary import Representation, Statistic, TokenRole


class Score(StrEnum):
    """What channels are ranked by."""

    MAX_ABS = "max_abs"
    ROBUST = "robust"
    TIMES_MEDIAN = "times_median"
    MEAN_OVER_STD = "mean_over_std"


SCORE_LABELS = {
    Score.MAX_ABS: "max |x|",
    Score.ROBUST: "robust score",
    Score.TIMES_MEDIAN: "× median",
    Score.MEAN_OVER_STD: "|mean| / std",
}

SCORE_HELP = {
    Score.MAX_ABS: "Largest absolute value over all tokens; outliers as by the robust score.",
    Score.ROBUST: "(max |x| - median) / (1.4826 · MAD) over the channels of the layer: unlike a "
    "z-score, not blinded by the outliers themselves.",
    Score.TIMES_MEDIAN: "max |x| divided by the median of max |x| over the channels of the layer.",
    Score.MEAN_OVER_STD: "|mean| / std over tokens: high where a channel is a constant offset, "
    "the same on all patches and images.",
}

DEFAULT_THRESHOLDS = {
    Score.MAX_ABS: 10.0,
    Score.ROBUST: 10.0,
    Score.TIMES_MEDIAN: 10.0,
    Score.MEAN_OVER_STD: 3.0,
}
"""From which score on a channel is an outlier; for `MAX_ABS` in units of the robust score."""

MASSIVE_ABS = 100.0
MASSIVE_TIMES_TYPICAL = 1000.0

_MAD_TO_STD = 1.482602218505602
_MEAN_DEVIATION_TO_STD = 1.2533141373155001
_MEDIAN_ABS_OF_GAUSSIAN = 0.6744897501960817
_RESOLUTION = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Ranking:
    """The channels of one layer, representation and role, ranked."""

    frame: pd.DataFrame
    """The best `k`: rank (from 1), channel, mean, std, max_abs, times_median, score, outlier,
    massive, constant, flags (the three in words)."""
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


def score_channels(statistics: NDArray[np.floating[Any]], score: Score) -> NDArray[np.float64]:
    """Score every channel against the others of its cell.

    Args:
        statistics: ``[..., 3, channels]``: mean, std, max_abs.
        score: What to compute.

    Returns:
        ``[..., channels]``, finite.
    """
    mean, std, max_abs = np.moveaxis(np.asarray(statistics, dtype=np.float64), -2, 0)
    match score:
        case Score.MAX_ABS:
            return max_abs
        case Score.ROBUST:
            center, spread = _center_and_spread(max_abs)
            return _divide(max_abs - center, spread)
        case Score.TIMES_MEDIAN:
            return _divide(max_abs, _positive_median(max_abs))
        case Score.MEAN_OVER_STD:
            # float32 cannot hold a spread below its resolution of the mean.
            floor = np.maximum(std, _RESOLUTION * np.abs(mean))
            return _divide(np.abs(mean), floor)


def find_level(
    statistics: NDArray[np.floating[Any]], score: Score, threshold: float | None = None
) -> NDArray[np.float64]:
    """Return the score from which on a channel is an outlier, ``[...]``.

    Args:
        statistics: ``[..., 3, channels]``: mean, std, max_abs.
        score: In whose units.
        threshold: `DEFAULT_THRESHOLDS` where None; for `MAX_ABS` in units of the robust score.
            Infinite for `MAX_ABS` where all channels are alike.
    """
    threshold = DEFAULT_THRESHOLDS[score] if threshold is None else threshold
    if score is not Score.MAX_ABS:
        return np.full(statistics.shape[:-2], threshold)
    center, spread = _center_and_spread(np.asarray(statistics, dtype=np.float64)[..., 2, :])
    return np.where(spread > 0, center + threshold * spread, np.inf)[..., 0]


def find_outliers(
    statistics: NDArray[np.floating[Any]], score: Score, threshold: float | None = None
) -> NDArray[np.bool_]:
    """Mark the channels whose score reaches the level of `find_level`, ``[..., channels]``."""
    level = find_level(statistics, score, threshold)
    return score_channels(statistics, score) >= level[..., None]


def find_top(scores: NDArray[np.float64], k: int) -> NDArray[np.bool_]:
    """Mark the k largest along the last axis; of equal ones those of lower channel number."""
    k = min(max(k, 0), scores.shape[-1])
    if k == 0:
        return np.zeros(scores.shape, dtype=bool)
    smallest = -np.partition(-scores, k - 1, axis=-1)[..., k - 1 : k]
    larger, equal = scores > smallest, scores == smallest
    room = k - larger.sum(axis=-1, keepdims=True)
    return larger | (equal & (np.cumsum(equal, axis=-1) <= room))


def find_massive(
    statistics: NDArray[np.floating[Any]], typical: NDArray[np.floating[Any]] | None = None
) -> NDArray[np.bool_]:
    """Mark channels above 100 and above 1000 times the typical activation of their cell.

    Args:
        statistics: ``[..., 3, channels]``: mean, std, max_abs.
        typical: ``[...]``: median of |x| over tokens and channels where it was measured. Else it
            is taken as 0.6745 times the median over channels of the root mean square, which is
            exact where most channels are Gaussian about zero.

    Returns:
        ``[..., channels]``.
    """
    mean, std, max_abs = np.moveaxis(np.asarray(statistics, dtype=np.float64), -2, 0)
    if typical is None:
        typical = _MEDIAN_ABS_OF_GAUSSIAN * np.median(np.hypot(mean, std), axis=-1)
    beyond = max_abs > MASSIVE_TIMES_TYPICAL * np.asarray(typical)[..., None]
    return (max_abs > MASSIVE_ABS) & beyond


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
    statistics = np.stack([table.get(layer, representation, role, s) for s in Statistic])
    scores = score_channels(statistics, score)
    outlier = find_outliers(statistics, score, threshold)
    massive = find_massive(statistics)
    top = np.argsort(-scores, kind="stable")[: max(k, 0)]
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
    order = np.argsort(-scores, axis=-1, kind="stable")
    ranks = np.empty(order.shape, dtype=np.int32)
    np.put_along_axis(ranks, order, np.arange(1, order.shape[1] + 1, dtype=np.int32)[None], axis=1)
    return ranks


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
    outlier, max_abs = outlier[:, channels], statistics[:, 2][:, channels]
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
        values = statistics[:, 2][:, channels]
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
    return np.stack([table.over_depth(representation, role, s) for s in Statistic], axis=1)


def _start_of_longest_run(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return where, along the first axis, the longest run of True begins (the first of equals)."""
    length = np.zeros(mask.shape, dtype=np.int64)
    for i in range(len(mask)):
        length[i] = mask[i] * (1 + (length[i - 1] if i else 0))
    end = np.argmax(length, axis=0)
    return end - np.maximum(length.max(axis=0), 1) + 1


def _where(mask: NDArray[np.bool_], layers: NDArray[np.int64]) -> pd.Series[int]:
    return pd.Series(layers).astype("Int64").where(pd.Series(mask))


def _positive_median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median over channels; of the channels above 0 where more than half are 0."""
    median = np.asarray(np.median(values, axis=-1))
    for cell in map(tuple, np.argwhere(median == 0)):
        positive = values[cell][values[cell] > 0]
        median[cell] = np.median(positive) if len(positive) else 0.0
    return median[..., None]


def _center_and_spread(
    max_abs: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the median and the scaled MAD over channels, each ``[..., 1]``.

    Where more than half of the deviations are 0 the scaled mean deviation takes the MAD's place
    (Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers).
    """
    center = np.median(max_abs, axis=-1, keepdims=True)
    sizes = np.abs(max_abs - center)
    mad = np.median(sizes, axis=-1, keepdims=True)
    mean = sizes.mean(axis=-1, keepdims=True)
    return center, np.where(mad > 0, _MAD_TO_STD * mad, _MEAN_DEVIATION_TO_STD * mean)


def _divide(
    numerator: NDArray[np.float64], denominator: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Divide; 0 where the denominator is 0 (all channels alike: nothing stands out)."""
    result = np.zeros(numerator.shape)
    return np.divide(numerator, denominator, out=result, where=denominator > 0)
