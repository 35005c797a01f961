"""Which channels are outliers in one version and not in the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.payload.table import StatsTable
from analysis.read.compare.findings import OutlierChange
from analysis.read.scores import Score, find_outliers
from analysis.vocabulary import Representation


def find_outlier_change(
    a: StatsTable,
    b: StatsTable,
    layers: NDArray[np.int64],
    representation: Representation,
    score: Score = Score.MAX_ABS,
) -> OutlierChange:
    """Mark the outliers of both versions.

    Args:
        a: The version to compare from.
        b: The version to compare with; as many channels.
        layers: Those to look at, held by both.
        representation: What of the block output.
        score: What an outlier stands out by.
    """
    index = representation.position
    marked_a, marked_b = (
        find_outliers(table.values[np.searchsorted(table.layers, layers), index], score)
        for table in (a, b)
    )
    return OutlierChange(marked_a, marked_b)
