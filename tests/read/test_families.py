"""Folds and seeds of one recipe as one: the mean and the spread are numpy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from analysis.read.families import merge_drifts, name_family
from analysis.read.summary import DriftSummary


@pytest.mark.parametrize(
    ("version", "family"),
    [
        ("winter-fold3", "winter"),
        ("winter_fold_3_seed12", "winter"),
        ("seed=7.winter", "winter"),
        ("fold0-winter-lr1e-4", "winter-lr1e-4"),
        ("winter-Fold 2-meadow", "winter-meadow"),
        ("fold1", "folds"),
        ("winter", None),
        ("manifold3", None),
        ("unfold", None),
        ("seedling", None),
    ],
)
def test_a_name_without_its_fold_and_seed(version: str, family: str | None) -> None:
    assert name_family(version) == family


def drifted(layers: tuple[int, ...], *drift: float, floor: float | None = 0.1) -> DriftSummary:
    rows = [tuple((value, None) for value in values) for values in (drift, (floor,) * len(drift))]
    return DriftSummary(None, layers, rows[0], rows[1], rows[1])


def test_mean_and_spread_are_over_the_members_in_their_common_layers() -> None:
    family = merge_drifts([drifted((0, 1, 2), 9.0, 0.2, 0.4), drifted((1, 2), 0.4, 0.4, floor=0.3)])
    assert family.mean.layers == (1, 2)
    for rows, expected in (
        (family.mean.drift, [0.3, 0.4]),
        (family.mean.noise_floor, [0.2, 0.2]),
        (family.mean.noise_band, [0.1 * np.sqrt(2) * t.ppf(0.95, 1), 0.2]),
        (family.spread, [0.1 * np.sqrt(2), 0]),
    ):
        np.testing.assert_allclose(np.array(rows, dtype=np.float64)[:, 0], expected, atol=1e-12)
    assert family.mean.drift[0][1] is None


def test_a_spread_above_the_noise_of_the_images_is_the_floor_also_where_that_is_unknown() -> None:
    for floor in (0.1, None):
        drifts = (0.2, 0.8, 0.5)
        family = merge_drifts([drifted((0,), drift, floor=floor) for drift in drifts])
        assert family.mean.noise_floor[0][0] == pytest.approx(np.std(drifts, ddof=1))


def test_a_single_member_has_no_spread() -> None:
    assert merge_drifts([drifted((0,), 0.5)]).spread == ((None, None),)


def test_a_member_that_may_not_be_compared_refuses_the_family() -> None:
    family = merge_drifts([drifted((0,), 0.5), DriftSummary("another backbone")])
    assert family.mean == DriftSummary("another backbone")
