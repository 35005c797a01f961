from __future__ import annotations

import statistics as reference
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from analysis.read.scores import (
    DEFAULT_THRESHOLDS,
    SCORE_HELP,
    SCORE_LABELS,
    Score,
    find_level,
    find_massive,
    find_outliers,
    find_top,
    score_channels,
)
from tests.factories.payloads import make_table


def _cell(max_abs: Any, mean: Any = 0.0, std: Any = 1.0) -> NDArray[np.float64]:
    max_abs = np.asarray(max_abs, dtype=np.float64)
    return np.stack(
        [np.broadcast_to(mean, max_abs.shape), np.broadcast_to(std, max_abs.shape), max_abs]
    )


def _lognormal(seed: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).lognormal(0, 0.5, shape)


def test_the_robust_score_is_the_distance_from_the_median_in_scaled_mads() -> None:
    values = _lognormal(0, 101).tolist()
    center = reference.median(values)
    mad = reference.median(abs(value - center) for value in values)
    spread = mad / reference.NormalDist().inv_cdf(0.75)
    expected = [(value - center) / spread for value in values]
    np.testing.assert_allclose(score_channels(_cell(values), Score.ROBUST), expected, rtol=1e-12)


def test_the_other_scores_are_what_they_are_called() -> None:
    mean, std, max_abs = np.array([1.0, -9.0, 0.0]), np.array([2.0, 3.0, 1.0]), np.array([4, 12, 8])
    cell = np.stack([mean, std, max_abs])
    np.testing.assert_array_equal(score_channels(cell, Score.MAX_ABS), [4, 12, 8])
    np.testing.assert_array_equal(score_channels(cell, Score.TIMES_MEDIAN), [0.5, 1.5, 1])
    np.testing.assert_array_equal(score_channels(cell, Score.MEAN_OVER_STD), [0.5, 3, 0])


def test_scores_of_many_cells_are_those_of_each_alone() -> None:
    table = make_table()
    for score in Score:
        together = score_channels(table.values, score)
        for index in np.ndindex(4, 3, 2):
            np.testing.assert_array_equal(
                together[index], score_channels(table.values[index], score)
            )


def test_massive_channels_do_not_hide_the_large_ones_from_the_robust_score() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(0.8, 1.2, 1280)
    values[:10], values[10:12] = 20.0, 2000.0
    ordinary_z = (values - values.mean()) / values.std()
    assert ordinary_z[:10].max() < 1  # what blinds a z-score
    assert np.flatnonzero(find_outliers(_cell(values), Score.ROBUST)).tolist() == list(range(12))


def test_ranking_by_size_marks_the_same_outliers_as_the_robust_score() -> None:
    cell = make_table(channels=64).values
    by_size, robust = (find_outliers(cell, score) for score in (Score.MAX_ABS, Score.ROBUST))
    np.testing.assert_array_equal(by_size, robust)
    assert robust.any()


def test_the_level_is_the_smallest_score_of_an_outlier() -> None:
    cell = _cell(_lognormal(1, 500))
    for score in Score:
        level = float(find_level(cell, score, 2.0))
        chosen = find_outliers(cell, score, 2.0)
        scores = score_channels(cell, score)
        np.testing.assert_array_equal(chosen, scores >= level)


def test_where_most_channels_are_equal_a_lone_outlier_is_still_found() -> None:
    values = np.ones(100)
    values[7] = 50.0
    assert np.flatnonzero(find_outliers(_cell(values), Score.ROBUST)).tolist() == [7]
    assert np.flatnonzero(find_outliers(_cell(values), Score.MAX_ABS)).tolist() == [7]


@pytest.mark.parametrize(
    "score", [s for s in Score if s is not Score.MASSIVE]
)  # that one is absolute
@pytest.mark.parametrize("value", [0.0, 1.0, 1e30])
def test_channels_that_are_all_alike_hold_no_outlier(score: Score, value: float) -> None:
    cell = _cell(np.full(9, value), std=1.0)
    assert np.isfinite(score_channels(cell, score)).all()
    assert not find_outliers(cell, score).any()


def test_dead_channels_do_not_make_the_others_infinitely_large() -> None:
    values = np.zeros(10)
    values[:3] = [1.0, 2.0, 60.0]
    scores = score_channels(_cell(values), Score.TIMES_MEDIAN)
    np.testing.assert_array_equal(scores[:4], [0.5, 1.0, 30.0, 0.0])


def test_a_constant_channel_ranks_first_by_mean_over_std_and_stays_finite() -> None:
    cell = _cell([1.0, 5.0, 1.0], mean=[0.5, 5.0, 0.0], std=[0.1, 0.0, 0.0])
    scores = score_channels(cell, Score.MEAN_OVER_STD)
    assert np.isfinite(scores).all()
    assert scores.argmax() == 1
    assert scores[2] == 0


@pytest.mark.parametrize(
    ("value", "others", "expected"),
    [
        pytest.param(101.0, 0.1, True, id="both"),
        pytest.param(99.0, 0.01, False, id="below-100"),
        pytest.param(101.0, 0.2, False, id="below-1000-times"),
    ],
)
def test_massive_is_above_100_and_above_1000_times_the_typical_value(
    value: float, others: float, expected: bool
) -> None:
    cell = _cell([value, 1.0, 1.0], std=others)  # typical |x| of a Gaussian: 0.6745 std
    assert find_massive(cell).tolist() == [expected, False, False]


def test_massive_uses_the_measured_median_where_there_is_one() -> None:
    cell = _cell([150.0, 1.0, 1.0], std=0.01)
    assert find_massive(cell).any()
    assert not find_massive(cell, typical=np.array(0.2)).any()


def test_the_typical_value_is_that_of_gaussian_tokens() -> None:
    tokens = np.random.default_rng(0).normal(0, 3, (200_000,))
    typical = np.median(np.abs(tokens))
    above, below = 1000 * typical * 1.02, 1000 * typical * 0.98
    cell = _cell([above, below, 9.0, 9.0, 9.0], std=tokens.std())
    assert find_massive(cell).tolist() == [True, False, False, False, False]


@given(
    hnp.arrays(np.float64, (3, 9), elements=st.integers(0, 4).map(float)),
    st.integers(-1, 12),
)
def test_the_top_is_the_beginning_of_the_ranking_also_among_equals(
    scores: NDArray[np.float64], k: int
) -> None:
    for row, mask in zip(scores, find_top(scores, k), strict=True):
        ranked = sorted(range(9), key=lambda channel: (-row[channel], channel))
        assert set(np.flatnonzero(mask)) == set(ranked[: max(k, 0)])


def test_every_score_has_a_name_a_definition_and_a_threshold() -> None:
    for mapping in (SCORE_LABELS, SCORE_HELP, DEFAULT_THRESHOLDS):
        assert list(mapping) == list(Score)


def test_the_massive_rule_as_a_score_marks_what_the_rule_marks() -> None:
    rng = np.random.default_rng(3)
    max_abs = 10 ** rng.uniform(1, 4.5, (2, 40))
    statistics = np.stack([np.zeros((2, 40)), np.full((2, 40), 0.5), max_abs], axis=1)
    statistics[1, 1] = 0.01  # a quiet layer, in which 100 is the higher bound
    massive = find_massive(statistics)
    assert 0 < massive[0].sum() < 40
    np.testing.assert_array_equal(find_outliers(statistics, Score.MASSIVE), massive)
    np.testing.assert_allclose(
        score_channels(statistics, Score.MASSIVE)[1], max_abs[1] / 100, rtol=1e-12
    )
