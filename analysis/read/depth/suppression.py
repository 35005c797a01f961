"""What the model's shared output LayerNorm does to the outliers of each layer.

Sizes of two representations have different units, so none is divided by the other: a channel's
standing is max |x| in units of the median channel of its own representation, and the suppression
is by what factor its standing falls from the block output to after the norm. The norm was trained
for the last layer only; DINOv3 (Siméoni et al. 2025, appendix A.2) reports that it scales the
outlier channels down there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.payload.table import StatsTable
from analysis.read.scores import Score, find_outliers, score_channels
from analysis.vocabulary import Representation, TokenRole

_PRE = Representation.PRE.position
_GLOBAL = Representation.GLOBAL_LN.position


@dataclass(frozen=True)
class Suppression:
    """Every layer and role (CLS, patch)."""

    factor: NDArray[np.float64]
    """``[layers, 2]``: geometric mean over the outliers of the block output of standing before /
    after; NaN where the block output has none. Below 1 the norm makes them stand out more."""
    outliers: NDArray[np.int64]
    """``[layers, 2]``: outliers of the block output."""
    remaining: NDArray[np.int64]
    """``[layers, 2]``: those of them that are outliers after the norm too."""


def measure_suppression(table: StatsTable) -> Suppression:
    """Measure what the shared norm does to the outliers of every layer."""
    before, after = table.values[:, _PRE], table.values[:, _GLOBAL]
    outlier = find_outliers(before, Score.MAX_ABS)
    remaining = outlier & find_outliers(after, Score.MAX_ABS)
    falls = np.log(_standing(before)) - np.log(_standing(after))
    count = outlier.sum(axis=-1)
    total = np.where(outlier, falls, 0.0).sum(axis=-1)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return Suppression(np.exp(mean), count, remaining.sum(axis=-1))


def find_standings(
    table: StatsTable, layer: int, role: TokenRole
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each channel's standing before and after the shared norm, ``[channels]`` each."""
    cell = table.values[table.position(layer), :, role.position]
    return (
        score_channels(cell[_PRE], Score.TIMES_MEDIAN),
        score_channels(cell[_GLOBAL], Score.TIMES_MEDIAN),
    )


def _standing(statistics: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.maximum(score_channels(statistics, Score.TIMES_MEDIAN), np.finfo(np.float32).tiny)
