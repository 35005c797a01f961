"""Several versions in a row."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.read.compare.comparison import compare
from analysis.read.compare.timeline import (
    find_largest_move,
    find_most_changed,
    follow_channels,
    measure_drift_from_first,
)
from analysis.vocabulary import Cell, Representation, Statistic, TokenRole
from tests.factories.payloads import make_table

PRE, PATCH = Representation.PRE, TokenRole.PATCH


def test_drift_is_measured_from_the_first_version_over_common_layers() -> None:
    tables = [make_table(layers=4), make_table(layers=3, drift=1.0), make_table(drift=3.0)]
    layers, drift = measure_drift_from_first(tables)
    assert layers.tolist() == [0, 1, 2]
    assert drift.shape == (3, 3, 3, 2)
    assert not drift[0].any()
    whole = compare(tables[0], tables[2]).drift
    assert whole is not None
    np.testing.assert_array_equal(drift[2], whole[:3])


def test_versions_of_other_backbones_have_no_timeline() -> None:
    with pytest.raises(ValueError, match="one backbone"):
        measure_drift_from_first([make_table(), make_table(channels=24)])


def test_the_largest_move_is_named_by_version_and_place() -> None:
    drift = np.zeros((3, 2, 3, 2))
    drift[2, 1, 1, 0] = 0.7
    move = find_largest_move(np.array([4, 9]), drift)
    assert (move.version, move.drift) == (2, 0.7)
    assert move.cell == (9, Representation.PER_LAYER_LN, TokenRole.CLS)


def test_channels_are_followed_by_their_largest_value() -> None:
    tables = [make_table(), make_table(drift=2.0)]
    values = follow_channels(tables, Cell(3, PRE, PATCH))
    expected = tables[1].get(3, PRE, PATCH, Statistic.MAX_ABS)
    np.testing.assert_array_equal(values[1], expected)


def test_channels_that_changed_most_come_first_and_small_ones_never() -> None:
    values = np.ones((3, 40))
    values[:, 7] = [10, 10, 40]
    values[:, 8] = [50, 100, 60]
    values[:, 30] = [1e-3, 1.0, 1e-3]  # a thousandfold change of nothing
    values[:, 30] *= 0.01
    assert find_most_changed(values, 2) == [7, 8]


def test_channels_of_zero_everywhere_change_nothing() -> None:
    assert find_most_changed(np.zeros((2, 3)), 2) == [0, 1]


def test_a_cell_without_a_drift_is_not_the_largest_move() -> None:
    drift = np.zeros((2, 3, 3, 2))
    drift[1, 0], drift[1, 2, 0, 1] = np.nan, 0.5
    move = find_largest_move(np.arange(3), drift)
    assert (move.version, move.cell.layer, move.drift) == (1, 2, 0.5)
