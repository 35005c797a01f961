"""How the statistics of a layer are spread over its channels, in a few numbers."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.language import N_
from analysis.read.scores import rank
from analysis.vocabulary import Statistic

ROWS = (N_("mean"), N_("|mean|"), N_("std"), N_("max |x|"))


def summarize_spread(statistics: NDArray[np.floating], channel: int) -> pd.DataFrame:
    """Return how each statistic is spread over all channels, and where one of them stands.

    Args:
        statistics: ``[3, channels]``: mean, std, max_abs.
        channel: The one to place.

    Returns:
        One row per entry of `ROWS`: statistic, smallest, median, average, p99, largest,
        deviation (population std over channels), here (the channel's own), rank (1 is the largest,
        of equal ones too).
    """
    mean, std, max_abs = np.asarray(statistics, dtype=np.float64)
    values = np.stack([mean, np.abs(mean), std, max_abs])
    row = values[:, channel]
    return pd.DataFrame(
        {
            "statistic": ROWS,
            "smallest": values.min(axis=1),
            "median": np.median(values, axis=1),
            "average": values.mean(axis=1),
            "p99": np.quantile(values, 0.99, axis=1),
            "largest": values.max(axis=1),
            "deviation": values.std(axis=1),
            "here": row,
            "rank": 1 + (values > row[:, None]).sum(axis=1),
        }
    )


def correlate_ranks(statistics: NDArray[np.floating]) -> dict[tuple[str, str], float]:
    """Return `correlate_pair` of each two of |mean|, std and max |x|, where there is one.

    Args:
        statistics: ``[3, channels]``: mean, std, max_abs.
    """
    mean, std, max_abs = np.asarray(statistics, dtype=np.float64)
    values = dict(zip(ROWS[1:], (np.abs(mean), std, max_abs), strict=True))
    correlations = {
        (a, b): correlate_pair(values[a], values[b]) for a, b in combinations(values, 2)
    }
    return {pair: share for pair, share in correlations.items() if share is not None}


def correlate_pair(x: NDArray[np.floating], y: NDArray[np.floating]) -> float | None:
    """Return Spearman's rank correlation; None where either is the same for all channels.

    Of ranks, since a few outliers decide what a correlation of the values is.

    Args:
        x: ``[channels]``.
        y: ``[channels]``.
    """
    correlation = pd.DataFrame({"x": x, "y": y}).corr(method="spearman").to_numpy()[0, 1]
    return float(correlation) if np.isfinite(correlation) else None


def rank_all(statistics: NDArray[np.floating]) -> NDArray[np.int32]:
    """Return every channel's rank by max |x|, ``[channels]``; of equal ones the lower number first.

    Args:
        statistics: ``[3, channels]``: mean, std, max_abs.
    """
    return rank(statistics[Statistic.MAX_ABS.position])
