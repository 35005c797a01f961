"""How far a channel stands out from the others of its layer, in one number.

An outlier is a channel whose score reaches a threshold. A channel is *massive* by the rule of Sun
et al. 2024 (Massive Activations in Large Language Models): above 100, and above 1000 times the
typical activation of its layer. No score is ever NaN or infinite, also for constant, dead or
single channels.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.language import N_, Texts
from analysis.vocabulary import Statistic


class Score(StrEnum):
    """What channels are ranked by."""

    MAX_ABS = "max_abs"
    ROBUST = "robust"
    TIMES_MEDIAN = "times_median"
    MEAN_OVER_STD = "mean_over_std"
    MASSIVE = "massive"


SCORE_LABELS = Texts(
    {
        Score.MAX_ABS: N_("max |x|"),
        Score.ROBUST: N_("robust score"),
        Score.TIMES_MEDIAN: N_("× median"),
        Score.MEAN_OVER_STD: N_("|mean| / std"),
        Score.MASSIVE: N_("massive rule"),
    }
)

SCORE_HELP = Texts(
    {
        Score.MAX_ABS: N_(
            "Largest absolute value over all tokens; outliers as by the robust score."
        ),
        Score.ROBUST: N_(
            "(max |x| - median) / (1.4826 · MAD) over the channels of the "
            "layer: unlike a z-score, not blinded by the outliers themselves."
        ),
        Score.TIMES_MEDIAN: N_(
            "max |x| divided by the median of max |x| over the channels of the layer."
        ),
        Score.MEAN_OVER_STD: N_(
            "|mean| / std over tokens: high where a channel is a constant "
            "offset, the same on all patches and images."
        ),
        Score.MASSIVE: N_(
            "By how much max |x| passes both bounds of the massive rule, 100 "
            "and 1000 × the typical activation of the layer: massive above 1."
        ),
    }
)

SCORE_UNITS = Texts(
    {
        Score.ROBUST: N_("scaled MADs above the median"),
        Score.TIMES_MEDIAN: N_("max |x| over the median channel's"),
        Score.MEAN_OVER_STD: N_("over tokens"),
        Score.MASSIVE: N_("max |x| over its bound"),
    }
)
"""What a score is measured in; that of max |x| is the representation's."""

DEFAULT_THRESHOLDS = {
    Score.MAX_ABS: 10.0,
    Score.ROBUST: 10.0,
    Score.TIMES_MEDIAN: 10.0,
    Score.MEAN_OVER_STD: 3.0,
    Score.MASSIVE: 1.0,
}
"""From which score on a channel is an outlier; for `MAX_ABS` in units of the robust score."""

MASSIVE_ABS = 100.0
MASSIVE_TIMES_TYPICAL = 1000.0

_MAD_TO_STD = 1.482602218505602
_MEAN_DEVIATION_TO_STD = 1.2533141373155001
_MEDIAN_ABS_OF_GAUSSIAN = 0.6744897501960817
LARGEST_RATIO = 1e4
"""A std below this part of |mean| is rounding; the ratio is not taken to be larger."""


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
            return mean_over_std(mean, std)
        case Score.MASSIVE:
            return _divide(max_abs, _massive_bound(_find_typical(mean, std)))


def mean_over_std(
    mean: NDArray[np.floating[Any]], std: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return |mean| / std, at most `LARGEST_RATIO`; 0 where both are 0.

    Args:
        mean: ``[..., channels]``.
        std: The same shape.
    """
    size = np.abs(np.asarray(mean, dtype=np.float64))
    return _divide(size, np.maximum(std, size / LARGEST_RATIO))


def rank(scores: NDArray[np.floating[Any]]) -> NDArray[np.int32]:
    """Rank from 1, the largest, along the last axis; of equal scores the lower channel first."""
    order = np.argsort(-scores, axis=-1, kind="stable")
    ranks = np.empty(order.shape, dtype=np.int32)
    positions = np.broadcast_to(np.arange(1, order.shape[-1] + 1, dtype=np.int32), order.shape)
    np.put_along_axis(ranks, order, positions, axis=-1)
    return ranks


def jaccard(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return what two sets of channels share of those in either, ``[...]``; 1 where both are empty.

    Args:
        a: ``[..., channels]``: whether a channel belongs to the set.
        b: The same shape.
    """
    both, either = (a & b).sum(axis=-1), (a | b).sum(axis=-1)
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


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
    center, spread = _center_and_spread(
        np.asarray(statistics, dtype=np.float64)[..., Statistic.MAX_ABS.position, :]
    )
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
    typical_size = _find_typical(mean, std) if typical is None else np.asarray(typical)
    return max_abs > _massive_bound(typical_size)


def _find_typical(mean: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(_MEDIAN_ABS_OF_GAUSSIAN * np.median(np.hypot(mean, std), axis=-1))


def _massive_bound(typical: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.maximum(MASSIVE_ABS, MASSIVE_TIMES_TYPICAL * typical)[..., None]


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
