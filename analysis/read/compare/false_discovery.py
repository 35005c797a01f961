"""Which of many tests to believe (Benjamini & Hochberg 1995, False discovery rate)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def find_discoveries(p: NDArray[np.float64], level: float) -> NDArray[np.bool_]:
    """Mark the tests to believe, so that on average at most `level` of those marked are chance.

    Args:
        p: Probabilities, any shape, all one family; NaN marks what was not tested.
        level: Accepted share of false discoveries, in (0, 1).
    """
    tested = np.sort(p[~np.isnan(p)])
    ranks = np.arange(1, len(tested) + 1)
    passing = np.flatnonzero(tested <= level * ranks / max(len(tested), 1))
    if not len(passing):
        return np.zeros(p.shape, dtype=bool)
    return p <= tested[passing[-1]]
