"""Which channels are among the top of a cell in one payload and not in the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.errors import PayloadError
from analysis.language import _
from analysis.payload.table import StatsTable
from analysis.read.compare.drift import take_layers
from analysis.read.compare.overlap import rank_biased_overlap
from analysis.read.scores import Score, find_top, jaccard, rank, score_channels
from analysis.vocabulary import Cell, Statistic


@dataclass(frozen=True)
class TopComparison:
    """The top channels of one layer in two payloads."""

    frame: pd.DataFrame
    """One row per channel that is among the top in either: channel, status (`new` in B, `gone`
    from A's, `kept`), rank_a, rank_b, score_a, score_b, max_abs_a, max_abs_b, ratio (B / A of
    max_abs; NA where A's is 0). Largest score in either first."""
    jaccard: float
    """Channels among the top in both, as a share of those in either."""
    score: Score
    """What they are ranked by."""
    k: int
    """How many are the top of a version."""


def compare_top_channels(
    a: StatsTable,
    b: StatsTable,
    cell: Cell,
    score: Score = Score.MAX_ABS,
    k: int = 20,
) -> TopComparison:
    """Return which channels are among the top k of a cell in A, in B, or in both.

    Raises:
        PayloadError: If the payloads have different numbers of channels, or lack the layer.
    """
    _require_same_channels(a, b)
    statistics = [table[cell] for table in (a, b)]
    scores = [score_channels(values, score) for values in statistics]
    rank_a, rank_b = (rank(values) for values in scores)
    channels = np.flatnonzero((rank_a <= k) | (rank_b <= k))
    channels = channels[np.argsort(-np.maximum(*scores)[channels], kind="stable")]
    in_a, in_b = rank_a[channels] <= k, rank_b[channels] <= k
    max_abs_a, max_abs_b = (
        values[Statistic.MAX_ABS.position, channels].astype(np.float64) for values in statistics
    )
    frame = pd.DataFrame(
        {
            "channel": channels.astype(np.int32),
            "status": np.select([in_a & in_b, in_b], ["kept", "new"], "gone"),
            "rank_a": rank_a[channels],
            "rank_b": rank_b[channels],
            "score_a": scores[0][channels],
            "score_b": scores[1][channels],
            "max_abs_a": max_abs_a,
            "max_abs_b": max_abs_b,
            "ratio": max_abs_b / np.where(max_abs_a > 0, max_abs_a, np.nan),
        }
    )
    return TopComparison(frame, float(jaccard(in_a, in_b)), score, k)


def jaccard_over_depth(
    a: StatsTable, b: StatsTable, score: Score = Score.MAX_ABS, k: int = 20
) -> NDArray[np.float64]:
    """Return the overlap of the top k of both, ``[layers, 3, 2]`` over their common layers.

    Raises:
        PayloadError: If the payloads have different numbers of channels.
    """
    _require_same_channels(a, b)
    layers = np.intersect1d(a.layers, b.layers)
    in_a, in_b = (
        find_top(score_channels(take_layers(table, layers), score), k) for table in (a, b)
    )
    return jaccard(in_a, in_b)


def rank_biased_over_depth(
    a: StatsTable, b: StatsTable, score: Score = Score.MAX_ABS, k: int = 20
) -> NDArray[np.float64]:
    """Return the rank-biased overlap of the top k of both, ``[layers, 3, 2]``, common layers.

    Raises:
        PayloadError: If the payloads have different numbers of channels.
    """
    _require_same_channels(a, b)
    layers = np.intersect1d(a.layers, b.layers)
    k = min(max(k, 1), a.channels)
    scores = (score_channels(take_layers(table, layers), score) for table in (a, b))
    tops_a, tops_b = (np.argsort(-values, axis=-1, kind="stable")[..., :k] for values in scores)
    overlap = np.empty(tops_a.shape[:-1])
    for index in np.ndindex(overlap.shape):
        overlap[index] = rank_biased_overlap(tops_a[index], tops_b[index])
    return overlap


def _require_same_channels(a: StatsTable, b: StatsTable) -> None:
    if a.channels != b.channels:
        raise PayloadError(
            _(
                "The payloads have {channels} and {b_channels} channels, so no "
                "channel of one is a channel of the other. Choose two versions of "
                "the same backbone."
            ).format(channels=a.channels, b_channels=b.channels)
        )
