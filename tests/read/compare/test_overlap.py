from __future__ import annotations

import numpy as np
import pytest

from analysis.payload.groups import GroupStats
from analysis.read.compare.overlap import (
    RankBy,
    compare_top,
    count_turnover,
    rank_biased_overlap,
)
from analysis.vocabulary import Cell, Representation, TokenRole
from tests.factories.image_groups import draw_groups, draw_paired
from tests.factories.null_versions import Design, draw_versions

CHANNELS = 300


def _spread_out(groups: GroupStats) -> GroupStats:
    """Give the channels stds that differ by little: their order is a matter of chance."""
    return groups.affine(np.linspace(1, 1.3, CHANNELS), np.zeros(CHANNELS))


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("rank_by", RankBy)
def test_without_a_change_the_overlap_is_what_chance_leaves(paired: bool, rank_by: RankBy) -> None:
    found, by_chance = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        if paired:
            versions = draw_paired(rng, 64, CHANNELS, 0.5, change=0.3)
        else:
            versions = draw_groups(rng, 64, CHANNELS, 0.5), draw_groups(rng, 64, CHANNELS, 0.5)
        a, b = (_spread_out(version) for version in versions)
        result = compare_top(a, b, 20, rank_by)
        found.append(result.found)
        by_chance.append(result.by_chance)
    assert np.mean(found) < 0.9  # chance does something here
    assert np.mean(found) == pytest.approx(np.mean(by_chance), abs=0.03)


def test_a_change_lowers_the_overlap_but_not_what_chance_leaves() -> None:
    rng = np.random.default_rng(0)
    a, b = (_spread_out(x) for x in draw_paired(rng, 357, CHANNELS, 0.5, change=0.05))
    before = compare_top(a, b, 20)
    gain = np.ones(CHANNELS)
    gain[:10] = 2.0
    after = compare_top(a, b.affine(gain, np.zeros(CHANNELS)), 20)
    assert after.found < 0.5 * before.found
    assert after.by_chance > 0.7


def test_one_version_overlaps_with_itself_wholly() -> None:
    groups = draw_groups(np.random.default_rng(0), 64, CHANNELS, 0.5)
    result = compare_top(groups, groups, 20)
    assert (result.found, result.by_chance) == (1.0, 1.0)


@pytest.mark.parametrize("k", [1, 20, CHANNELS, CHANNELS + 5])
def test_tops_of_any_length_overlap_between_0_and_1(k: int) -> None:
    a, b = draw_paired(np.random.default_rng(0), 64, CHANNELS, 0.5)
    result = compare_top(a, b, k)
    assert 0 <= result.found <= 1
    assert 0 <= result.by_chance <= 1
    assert (result.found == 1) or k < CHANNELS


def test_fewer_than_eight_images_leave_chance_unknown() -> None:
    a, b = draw_paired(np.random.default_rng(0), 7, CHANNELS, 0.5)
    result = compare_top(a, b, 20)
    assert np.isfinite(result.found)
    assert np.isnan(result.by_chance)


def _by_definition(a: list[int], b: list[int], p: float) -> float:
    """Sum (1 - p) p^(d-1) A_d far beyond the end, where the agreement goes on as it was."""
    total, agreement = 0.0, 0.0
    for depth in range(1, 5000):
        if depth <= len(a):
            agreement = len(set(a[:depth]) & set(b[:depth])) / depth
        total += (1 - p) * p ** (depth - 1) * agreement
    return total


@pytest.mark.parametrize("p", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("seed", range(3))
def test_rank_biased_overlap_is_its_definition(seed: int, p: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.permutation(40)[:25].tolist() for _ in range(2))
    assert rank_biased_overlap(a, b, p) == pytest.approx(_by_definition(a, b, p), rel=1e-9)


def test_rank_biased_overlap_of_the_same_is_1_and_of_strangers_0() -> None:
    assert rank_biased_overlap([4, 2, 9], [4, 2, 9]) == pytest.approx(1)
    assert rank_biased_overlap([4, 2, 9], [1, 3, 5]) == 0


def test_rank_biased_overlap_weighs_the_head_most() -> None:
    assert rank_biased_overlap([1, 2, 3, 4], [2, 1, 3, 4]) < rank_biased_overlap(
        [1, 2, 3, 4], [1, 2, 4, 3]
    )


@pytest.mark.parametrize(("a", "b"), [([], []), ([1], [1, 2]), ([1, 1], [1, 2])])
def test_rank_biased_overlap_refuses_what_cannot_be_paired(a: list[int], b: list[int]) -> None:
    with pytest.raises(ValueError, match="ranking"):
        rank_biased_overlap(a, b)


@pytest.mark.parametrize("paired", [True, False])
def test_the_bounds_of_chance_hold_what_is_new_without_a_change(paired: bool) -> None:
    inside = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        if paired:
            versions = draw_paired(rng, 64, CHANNELS, 0.5, change=0.3)
        else:
            versions = draw_groups(rng, 64, CHANNELS, 0.5), draw_groups(rng, 64, CHANNELS, 0.5)
        a, b = (_spread_out(version) for version in versions)
        found = count_turnover(a, b, 20)
        low, high = found.by_chance
        assert low is not None
        assert high is not None
        inside.append(low <= found.new <= high)
    assert 0.6 <= np.mean(inside) < 1  # of eight groups there are seven swaps only


@pytest.mark.parametrize("distribution", ["normal", "rare large images"])
@pytest.mark.parametrize("paired", [True, False])
def test_thirty_two_groups_tell_chance_as_well_and_hold_nine_of_ten_cases(
    paired: bool, distribution: str
) -> None:
    design = Design(distribution, 48, 1, paired)
    found, by_chance, inside = [], [], []
    for seed in range(40):
        groups = draw_versions(np.random.default_rng(seed), design)
        stored = [read(Cell(0, Representation.PRE, TokenRole.PATCH)) for read in groups]
        a, b = (x.affine(np.linspace(1, 1.3, x.channels), np.zeros(1)) for x in stored if x)
        overlap, turnover = compare_top(a, b, 10), count_turnover(a, b, 10)
        found.append(overlap.found)
        by_chance.append(overlap.by_chance)
        low, high = turnover.by_chance
        assert low is not None
        assert high is not None
        inside.append(low <= turnover.new <= high)
    assert np.mean(found) == pytest.approx(np.mean(by_chance), abs=0.03)
    assert np.mean(inside) >= 0.9


def test_channels_that_a_change_brings_are_beyond_the_bounds_of_chance() -> None:
    rng = np.random.default_rng(0)
    a, b = (_spread_out(x) for x in draw_paired(rng, 357, CHANNELS, 0.5, change=0.05))
    gain = np.ones(CHANNELS)
    gain[:10] = 2.0
    found = count_turnover(a, b.affine(gain, np.zeros(CHANNELS)), 20)
    assert found.by_chance[1] is not None
    assert found.new > found.by_chance[1]
