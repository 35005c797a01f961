"""Pairs of images against scipy; categories by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel

from analysis.errors import InputError
from analysis.payload.features import read_features
from analysis.read.worth.pairs import compare_pairs, tabulate_categories
from analysis.vocabulary import Cell, Representation, TokenRole
from tests.factories.vectors import CHANNELS, IMAGES, write_with_vectors

CELL = Cell(1, Representation.PRE, TokenRole.PATCH)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = [tmp_path / name / "feature_stats" / "stats.pt" for name in ("a", "b")]
    write_with_vectors(found[0])
    write_with_vectors(found[1], shifted=3)
    return found


def test_the_test_is_the_paired_t_test_in_stds_of_the_channel(paths: list[Path]) -> None:
    before, after = map(read_features, paths)
    found = compare_pairs(before, after, CELL)
    a, b = (features.vectors(CELL).astype(np.float64) for features in (before, after))
    expected = ttest_rel(b, a)
    assert found.shift[3] / found.error[3] == pytest.approx(expected.statistic[3], rel=1e-6)
    np.testing.assert_allclose(found.shift, (b - a).mean(0) / before.table[CELL][1], rtol=1e-6)
    assert found.images == IMAGES
    assert found.differs[3]
    assert found.shift[3] > 0


def test_a_version_does_not_differ_from_itself(paths: list[Path]) -> None:
    features = read_features(paths[0])
    assert not compare_pairs(features, features, CELL).differs.any()


def test_categories_stand_apart_by_the_distance_of_their_mean(paths: list[Path]) -> None:
    features = read_features(paths[0])
    frame = tabulate_categories(features, CELL, "State").set_index("category")
    vectors, state = features.vectors(CELL).astype(np.float64), features.categories["State"]
    spread = np.sqrt(vectors.var(axis=0).sum())
    part = vectors[state == "s2"]
    assert frame.loc["s2", "images"] == IMAGES / 6
    distance = np.linalg.norm(part.mean(0) - vectors.mean(0)) / spread
    assert frame.loc["s2", "distance"] == pytest.approx(distance, rel=1e-5)
    assert frame.loc["s2", "spread"] == pytest.approx(np.sqrt(part.var(0).sum()) / spread, rel=1e-5)
    with pytest.raises(InputError, match="It has: State"):
        tabulate_categories(features, CELL, "Nothing")


def test_versions_of_other_backbones_are_refused(paths: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "c" / "feature_stats" / "stats.pt"
    write_with_vectors(other, left_out=IMAGES - 3)
    before, few = read_features(paths[0]), read_features(other)
    with pytest.raises(InputError, match=f"there are 3, of {CHANNELS}"):
        compare_pairs(before, few, CELL)
