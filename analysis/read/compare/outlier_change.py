"""Which channels are outliers in one version and not in the other, layer by layer.

By max |x|, as the outliers of a single version. |mean| / std is no measure of change: near its
threshold of 3 channels come and go by chance in almost every comparison of CLS tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.payload.table import StatsTable
from analysis.read.compare.overlap import Turnover
from analysis.read.scores import Score, find_outliers
from analysis.vocabulary import Representation, TokenRole


@dataclass(frozen=True)
class OutlierChange:
    """Which channels are outliers in each version, for one representation."""

    a: NDArray[np.bool_]
    """``[layers, 2, channels]``: of the baseline."""
    b: NDArray[np.bool_]
    """``[layers, 2, channels]``: of the version."""
    turnover: Mapping[TokenRole, Turnover] = field(default_factory=dict)
    """Of the layer with the most changes, how many of the largest channels chance replaces."""

    @property
    def changed(self) -> NDArray[np.bool_]:
        """``[layers, 2]``: whether some channel is an outlier in one of them only."""
        return (self.a != self.b).any(axis=-1)

    def peak(self, role: TokenRole) -> int:
        """Return the position of the layer in which most channels came or went."""
        return int(np.argmax((self.a != self.b)[:, role.position].sum(axis=-1)))


def find_outlier_change(
    a: StatsTable, b: StatsTable, layers: NDArray[np.int64], representation: Representation
) -> OutlierChange:
    """Mark the outliers of both versions.

    Args:
        a: The baseline.
        b: The version; as many channels.
        layers: Those to look at, held by both.
        representation: What of the block output.
    """
    index = representation.position
    marked_a, marked_b = (
        find_outliers(table.values[np.searchsorted(table.layers, layers), index], Score.MAX_ABS)
        for table in (a, b)
    )
    return OutlierChange(marked_a, marked_b)
