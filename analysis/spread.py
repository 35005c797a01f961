"""How the statistics of a layer are spread over its channels, in a few numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ROWS = ("mean", "|mean|", "std", "max |x|")


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
    here = values[:, channel]
    return pd.DataFrame(
        {
            "statistic": ROWS,
            "smallest": values.min(axis=1),
            "median": np.median(values, axis=1),
            "average": values.mean(axis=1),
            "p99": np.quantile(values, 0.99, axis=1),
            "largest": values.max(axis=1),
            "deviation": values.std(axis=1),
            "here": here,
            "rank": 1 + (values > here[:, None]).sum(axis=1),
        }
    )


def correlate_ranks(statistics: NDArray[np.floating]) -> dict[tuple[str, str], float]:
    """Return Spearman's rank correlation over channels of each pair of |mean|, std and max |x|.

    Ranks, since a few outliers decide what a correlation of the values is. Without the pairs of
    which one is the same for all channels.
    """
    mean, std, max_abs = np.asarray(statistics, dtype=np.float64)
    columns = dict(zip(ROWS[1:], (np.abs(mean), std, max_abs), strict=True))
    found = pd.DataFrame(columns).corr(method="spearman").to_numpy()
    return {
        (ROWS[1:][a], ROWS[1:][b]): float(found[a, b])
        for a, b in itertools.combinations(range(3), 2)
        if np.isfinite(found[a, b])
    }


def rank_all(statistics: NDArray[np.floating]) -> NDArray[np.int32]:
    """Return every channel's rank by max |x|, ``[channels]``; of equal ones the lower number first.

    Args:
        statistics: ``[3, channels]``: mean, std, max_abs.
    """
    order = np.argsort(-statistics[2], kind="stable")
    ranks = np.empty(len(order), dtype=np.int32)
    ranks[order] = np.arange(1, len(order) + 1, dtype=np.int32)
    return ranks
