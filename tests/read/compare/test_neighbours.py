"""Alike neighbours of the image list are found by their order, and joined until they differ."""

from __future__ import annotations

import numpy as np

from analysis.read.compare.neighbours import FEWEST, MOST, Weighted, count_separate


def _cells(run: int, seed: int, groups: int = 32, cells: int = 4) -> list[Weighted]:
    """Return groups of which as many as `run` neighbours are alike."""
    rng = np.random.default_rng(seed)
    draws = rng.standard_t(3, size=(cells, groups // run, 20))
    values = np.repeat(draws, run, axis=1) + 0.3 * rng.normal(size=(cells, groups, 20))
    count = rng.integers(1, 3, groups)
    return [(each, count) for each in values]


def test_independent_groups_are_seldom_joined() -> None:
    joined = [count_separate(_cells(1, seed)) != MOST for seed in range(100)]
    assert 0 < np.mean(joined) <= 0.12  # at a level of 5 %


def test_runs_of_alike_groups_are_joined_until_none_is_shared() -> None:
    assert {count_separate(_cells(2, seed)) for seed in range(10)} == {16}
    assert {count_separate(_cells(8, seed)) for seed in range(10)} == {FEWEST}


def test_a_few_groups_are_left_as_they_are() -> None:
    assert count_separate(_cells(2, 0, groups=4)) == MOST


def test_cells_with_other_groups_than_the_first_have_no_say() -> None:
    alone = _cells(2, 0)
    assert count_separate([*alone, *_cells(1, 1, groups=16)]) == count_separate(alone)


def test_the_order_alone_decides() -> None:
    order = np.random.default_rng(7).permutation(32)
    shuffled = [(values[order], count[order]) for values, count in _cells(8, 0)]
    assert count_separate(shuffled) == MOST
