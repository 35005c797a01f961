from __future__ import annotations

import numpy as np
import pytest

from analysis.read.depth.suppression import find_standings, measure_suppression
from analysis.vocabulary import TokenRole
from tests.factories.payloads import make_flat_table

CHANNELS = 101


def _table(before: float, after: float) -> np.ndarray:
    """Return one layer in which channel 7 stands out before and after the shared norm."""
    values = np.zeros((1, 3, 2, 3, CHANNELS))
    values[..., 2, :] = np.linspace(0.9, 1.1, CHANNELS)
    values[..., 1, :] = 0.3
    values[:, 0, :, 2, 7], values[:, 2, :, 2, 7] = before, after
    return values


def test_the_factor_is_that_of_the_standings_whatever_the_units() -> None:
    values = _table(200.0, 4.0)
    for unit in (1.0, 1000.0):
        values[:, 2] *= unit
        found = measure_suppression(make_flat_table(values))
        np.testing.assert_allclose(found.factor, 50.0, rtol=0.01)
        assert found.outliers.tolist() == found.remaining.tolist() == [[1, 1]]


def test_an_outlier_that_the_norm_removes_is_not_left() -> None:
    found = measure_suppression(make_flat_table(_table(200.0, 1.0)))
    assert found.remaining.tolist() == [[0, 0]]
    np.testing.assert_allclose(found.factor, 200.0, rtol=0.01)


def test_without_outliers_there_is_no_factor() -> None:
    found = measure_suppression(make_flat_table(_table(1.0, 50.0)))
    assert np.isnan(found.factor).all()
    assert not found.outliers.any()


def test_a_norm_that_lifts_the_outliers_has_a_factor_below_one() -> None:
    assert measure_suppression(make_flat_table(_table(20.0, 80.0))).factor[0, 0] == pytest.approx(
        0.25, rel=0.01
    )


def test_the_standing_is_in_medians_of_its_own_representation() -> None:
    before, after = find_standings(make_flat_table(_table(200.0, 4.0)), 0, TokenRole.CLS)
    assert before[7] == pytest.approx(200, rel=0.01)
    assert after[7] == pytest.approx(4, rel=0.01)
