"""Which of many tests to believe (Benjamini & Hochberg 1995, False discovery rate)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def find_threshold(p: NDArray[np.float64], level: float) -> float:
    """Return up to which probability to believe a test; below 0 where none is to be believed.

    On average at most `level` of the tests that are believed are then chance.

    Args:
        p: Probabilities, any shape, all one family; NaN marks what was not tested.
        level: Accepted share of false discoveries, in (0, 1).
    """
    tested = p[~np.isnan(p)]
    if not (tested <= level).any():
        return -1.0
    from scipy.stats import false_discovery_control  # half a second, which most pages never need

    believed = tested[false_discovery_control(tested) <= level]
    return float(believed.max(initial=-1.0))


def combine(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability that chance alone gives as much in any of several tests, ``[...]``.

    By Simes 1986 (An improved Bonferroni procedure): the smallest of m p₍ₖ₎ / k.

    Args:
        p: ``[..., tests]``; NaN gives NaN.
    """
    number = p.shape[-1]
    return (np.sort(p, axis=-1) * (number / np.arange(1, number + 1))).min(axis=-1)


def find_discoveries(p: NDArray[np.float64], level: float) -> NDArray[np.bool_]:
    """Mark the tests to believe, all one family; never one that was not tested (NaN)."""
    return p <= find_threshold(p, level)
