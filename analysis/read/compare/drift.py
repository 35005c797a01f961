"""How two payloads differ, and which channels stand out in one and not in the other.

Everything here compares what was measured; whether a difference is more than noise is not said.
Layer drift is a standardised distance: with means μ and standard deviations σ of one layer,
representation and role in the payloads A and B, sqrt of the mean over channels of
((μA - μB)² + (σA - σB)²) / (½ (σA² + σB²)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.errors import PayloadError
from analysis.payload.table import StatsTable
from analysis.read.compare.compatibility import Reason, Severity, check_compatibility
from analysis.read.compare.overlap import rank_biased_overlap
from analysis.read.scores import Score, find_top, score_channels
from analysis.vocabulary import Representation, Statistic, TokenRole

TINY_VARIANCE = 1e-12
"""Floor of the mean variance in the drift: keeps channels that never move finite."""


@dataclass(frozen=True)
class Comparison:
    """Two payloads, layer by layer."""

    layers: NDArray[np.int64]
    """``[layers]``: those that both hold."""
    drift: NDArray[np.float64] | None
    """``[layers, 3, 2]``; None where backbone or channels differ or no layer is in both."""
    reasons: tuple[Reason, ...]
    """What the payloads agree and disagree in, worst first."""

    @property
    def severity(self) -> Severity:
        """The worst of the reasons."""
        return self.reasons[0].severity


@dataclass(frozen=True)
class TopComparison:
    """The top channels of one layer in two payloads."""

    frame: pd.DataFrame
    """One row per channel that is among the top in either: channel, status (`new` in B, `gone`
    from A's, `kept`), rank_a, rank_b, score_a, score_b, max_abs_a, max_abs_b, ratio (B / A of
    max_abs; NA where A's is 0). Largest score in either first."""
    jaccard: float
    """Channels among the top in both, as a share of those in either."""


def compare_tables(
    a: StatsTable, b: StatsTable, *, names: tuple[str, str] = ("A", "B")
) -> Comparison:
    """Compare two payloads over the layers that both hold.

    Args:
        a: The payload to compare from.
        b: The payload to compare with.
        names: What the reasons call them.
    """
    layers = np.intersect1d(a.layers, b.layers)
    comparable = have_same_channels(a, b) and len(layers) > 0
    drift = compute_drift(_layers_of(a, layers), _layers_of(b, layers)) if comparable else None
    return Comparison(layers, drift, check_compatibility((a, b), names))


def have_same_channels(a: StatsTable, b: StatsTable) -> bool:
    """Return whether a channel number means the same in both; an unnamed backbone is trusted."""
    backbones = {table.backbone.get("backbone_name") for table in (a, b)} - {None}
    return a.channels == b.channels and len(backbones) <= 1


def compute_drift(
    a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return the drift between two arrays of statistics.

    Args:
        a: ``[..., 3, channels]``: mean, std, max_abs.
        b: The same shape.

    Returns:
        ``[...]``, 0 or more, the same for (a, b) and (b, a).
    """
    (mean_a, std_a, _), (mean_b, std_b, _) = (
        np.moveaxis(np.asarray(values, dtype=np.float64), -2, 0) for values in (a, b)
    )
    moved = (mean_a - mean_b) ** 2 + (std_a - std_b) ** 2
    variance = np.maximum((std_a**2 + std_b**2) / 2, TINY_VARIANCE)
    return np.sqrt(np.mean(moved / variance, axis=-1))


def compare_top_channels(
    a: StatsTable,
    b: StatsTable,
    layer: int,
    representation: Representation,
    role: TokenRole,
    score: Score = Score.MAX_ABS,
    k: int = 20,
) -> TopComparison:
    """Say which channels are among the top k of a layer in A, in B, or in both.

    Raises:
        PayloadError: If the payloads have different numbers of channels, or lack the layer.
    """
    _require_same_channels(a, b)
    cells = [
        np.stack([table.get(layer, representation, role, s) for s in Statistic]) for table in (a, b)
    ]
    scores = [score_channels(cell, score) for cell in cells]
    rank_a, rank_b = (_rank(values) for values in scores)
    channels = np.flatnonzero((rank_a <= k) | (rank_b <= k))
    channels = channels[np.argsort(-np.maximum(*scores)[channels], kind="stable")]
    in_a, in_b = rank_a[channels] <= k, rank_b[channels] <= k
    max_abs_a, max_abs_b = (cell[2, channels].astype(np.float64) for cell in cells)
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
    return TopComparison(frame, _jaccard(in_a, in_b))


def jaccard_over_depth(
    a: StatsTable, b: StatsTable, score: Score = Score.MAX_ABS, k: int = 20
) -> NDArray[np.float64]:
    """Return the overlap of the top k of both, ``[layers, 3, 2]`` over their common layers.

    Raises:
        PayloadError: If the payloads have different numbers of channels.
    """
    _require_same_channels(a, b)
    layers = np.intersect1d(a.layers, b.layers)
    in_a, in_b = (find_top(score_channels(_layers_of(table, layers), score), k) for table in (a, b))
    both, either = (in_a & in_b).sum(axis=-1), (in_a | in_b).sum(axis=-1)
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


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
    scores = (score_channels(_layers_of(table, layers), score) for table in (a, b))
    tops_a, tops_b = (np.argsort(-values, axis=-1, kind="stable")[..., :k] for values in scores)
    overlap = np.empty(tops_a.shape[:-1])
    for cell in np.ndindex(overlap.shape):
        overlap[cell] = rank_biased_overlap(tops_a[cell], tops_b[cell])
    return overlap


def have_same_images(a: StatsTable, b: StatsTable) -> bool:
    """Return whether both say that they were measured on the same list of images."""
    prints = [table.run.get("dataset_fingerprint") for table in (a, b)]
    return prints[0] is not None and prints[0] == prints[1]


def _layers_of(table: StatsTable, layers: NDArray[np.int64]) -> NDArray[np.float32]:
    if np.array_equal(table.layers, layers):
        return table.values
    return table.values[np.searchsorted(table.layers, layers)]


def _require_same_channels(a: StatsTable, b: StatsTable) -> None:
    if a.channels != b.channels:
        raise PayloadError(
            f"The payloads have {a.channels} and {b.channels} channels, so no channel of one is "
            "a channel of the other. Choose two versions of the same backbone."
        )


def _rank(scores: NDArray[np.float64]) -> NDArray[np.int32]:
    """Rank from 1 along the last axis; equal scores by channel number."""
    order = np.argsort(-scores, axis=-1, kind="stable")
    ranks = np.empty(order.shape, dtype=np.int32)
    positions = np.broadcast_to(np.arange(1, order.shape[-1] + 1, dtype=np.int32), order.shape)
    np.put_along_axis(ranks, order, positions, axis=-1)
    return ranks


def _jaccard(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0
