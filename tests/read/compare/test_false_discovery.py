from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.read.compare.false_discovery import find_discoveries


@pytest.mark.parametrize("seed", range(5))
def test_discoveries_are_those_of_benjamini_and_hochberg(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = np.concatenate([rng.uniform(size=300), 1e-3 * rng.uniform(size=40)])
    expected = stats.false_discovery_control(p) <= 0.05
    assert 0 < expected.sum() < 340
    np.testing.assert_array_equal(find_discoveries(p, 0.05), expected)


def test_a_later_rank_carries_the_earlier_ones() -> None:
    p = np.array([0.03, 0.04, 0.9, 0.035, 0.036])  # only the fourth passes its own threshold
    np.testing.assert_array_equal(find_discoveries(p, 0.05), [True, True, False, True, True])


def test_what_was_not_tested_neither_counts_nor_passes() -> None:
    p = np.array([[0.009, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(find_discoveries(p, 0.01), [[True, False], [False, False]])


@pytest.mark.parametrize("p", [[], [np.nan], [0.5]])
def test_nothing_to_find_is_nothing_found(p: list[float]) -> None:
    assert not find_discoveries(np.array(p), 0.01).any()
