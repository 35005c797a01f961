from __future__ import annotations

import numpy as np
import pytest

from analysis.read.spread import ROWS, correlate_ranks, rank_all, summarize_spread


def _cell(channels: int = 101) -> np.ndarray:
    rng = np.random.default_rng(0)
    mean, std = rng.normal(0, 3, channels), rng.uniform(1, 2, channels)
    return np.stack([mean, std, np.abs(mean) + 4 * std]).astype(np.float32)


def test_each_statistic_is_summed_up_over_channels_and_the_channel_placed() -> None:
    cell = _cell()
    rows = summarize_spread(cell, 7).to_dict("records")
    assert tuple(row["statistic"] for row in rows) == ROWS
    for row, values in zip(rows, (cell[0], abs(cell[0]), cell[1], cell[2]), strict=True):
        ordered = sorted(float(value) for value in values)
        assert (row["smallest"], row["largest"]) == (ordered[0], ordered[-1])
        assert row["median"] == ordered[50]
        assert row["p99"] == ordered[99]
        assert row["average"] == pytest.approx(sum(ordered) / 101)
        squares = sum((value - row["average"]) ** 2 for value in ordered)
        assert row["deviation"] == pytest.approx((squares / 101) ** 0.5)
        assert row["here"] == float(values[7])
        assert row["rank"] == 101 - ordered.index(float(values[7]))


def test_rank_correlations_do_not_care_how_large_an_outlier_is() -> None:
    mean, std = np.arange(1.0, 51.0), np.arange(50.0, 0.0, -1.0)
    found = correlate_ranks(np.stack([-mean, std, mean**9]))
    assert found[("|mean|", "max |x|")] == pytest.approx(1)
    assert found[("|mean|", "std")] == pytest.approx(-1)
    cell = _cell()
    orders = np.argsort(np.argsort(np.abs(cell[0]))), np.argsort(np.argsort(cell[2]))
    expected = np.corrcoef(*orders)[0, 1]
    assert correlate_ranks(cell)[("|mean|", "max |x|")] == pytest.approx(expected)


def test_what_is_the_same_for_all_channels_has_no_correlation() -> None:
    assert correlate_ranks(np.ones((3, 5))) == {}
    assert correlate_ranks(np.ones((3, 1))) == {}
    assert len(correlate_ranks(np.stack([np.ones(5), np.arange(5.0), np.arange(5.0)]))) == 1


def test_of_equal_channels_the_lower_number_ranks_first() -> None:
    assert rank_all(np.array([[0.0] * 4, [0.0] * 4, [5.0, 9.0, 9.0, 1.0]])).tolist() == [3, 1, 2, 4]
