"""The drift against its formula, and where it must stay finite."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.payload.table import StatsTable
from analysis.read.compare.comparison import compare
from analysis.read.compare.drift import (
    TINY_VARIANCE,
    compute_drift,
    compute_log_ratio,
    have_same_images,
)
from tests.factories.payloads import make_table


def _reference_drift(a: StatsTable, b: StatsTable, layer: int, i: int, j: int) -> float:
    total = 0.0
    for channel in range(a.channels):
        mean_a, std_a, _ = map(float, a.values[layer, i, j, :, channel])
        mean_b, std_b, _ = map(float, b.values[layer, i, j, :, channel])
        variance = max((std_a**2 + std_b**2) / 2, TINY_VARIANCE)
        total += ((mean_a - mean_b) ** 2 + (std_a - std_b) ** 2) / variance
    return math.sqrt(total / a.channels)


def test_drift_matches_its_formula_channel_by_channel() -> None:
    a, b = make_table(seed=1), make_table(seed=2)
    drift = compare(a, b).drift
    assert drift is not None
    assert drift.shape == (4, 3, 2)
    for layer, i, j in np.ndindex(drift.shape):
        expected = _reference_drift(a, b, layer, i, j)
        assert drift[layer, i, j] == pytest.approx(expected, rel=1e-12)


def test_one_channel_moved_by_one_std_drifts_by_the_root_of_its_share() -> None:
    cell = np.stack([np.zeros(16), np.full(16, 2.0), np.full(16, 9.0)])
    moved = cell.copy()
    moved[0, 5] += 2.0
    assert compute_drift(cell, moved) == pytest.approx(math.sqrt(1 / 16))


def test_a_payload_does_not_drift_from_itself_and_drift_has_no_direction() -> None:
    a, b = make_table(seed=1).values, make_table(seed=2).values
    assert (compute_drift(a, a) == 0).all()
    np.testing.assert_array_equal(compute_drift(a, b), compute_drift(b, a))


def test_drift_grows_where_the_network_changed() -> None:
    drift = compare(make_table(), make_table(drift=1.0)).drift
    assert drift is not None
    assert (np.diff(drift[:, 0, 1]) > 0).all()


def test_channels_that_never_vary_are_left_out_of_the_drift() -> None:
    dead = np.zeros((3, 4))
    dead[0] = 5.0
    moved = dead + np.array([1.0, 0, 0])[:, None]
    assert np.isnan(compute_drift(dead, moved))
    alive = np.stack([np.zeros(4), np.ones(4), np.ones(4)])
    both = (np.concatenate([alive, x], axis=1) for x in (dead, moved))
    assert compute_drift(*both) == 0


def test_the_log_ratio_follows_what_drift_saturates_at() -> None:
    before = np.stack([np.zeros(16), np.ones(16), np.ones(16)])
    for factor in (1e-3, 0.5, 1.0, 2.0, 1e3):
        after = before * np.array([1.0, factor, 1.0])[:, None]
        assert compute_log_ratio(before, after) == pytest.approx(math.log(factor))
        assert compute_drift(before, after) <= math.sqrt(2)
    before[1, :4] = 0
    assert compute_log_ratio(before, 2 * before) == pytest.approx(math.log(2))


def test_images_are_the_same_only_where_both_say_so() -> None:
    recorded, silent = make_table(), make_table(recorded=False)
    assert have_same_images(recorded, make_table(seed=1))
    assert not have_same_images(recorded, make_table(dataset_fingerprint="other"))
    assert not have_same_images(recorded, silent)
    assert not have_same_images(silent, silent)
