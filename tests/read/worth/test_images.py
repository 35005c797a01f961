"""Single images: the one that moved, the one that stands alone, the map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analysis.errors import InputError
from analysis.payload.features import read_features
from analysis.read.worth.images import measure_isolation, measure_movement, principal_plane
from analysis.read.worth.layers import measure_planes, measure_spectra
from analysis.read.worth.ridge import centred_gram
from analysis.vocabulary import Representation, TokenRole
from tests.factories.vectors import IMAGES, write_with_vectors


def test_a_shift_of_all_images_is_common_and_that_of_one_its_own() -> None:
    before = np.random.default_rng(0).standard_normal((50, 8))
    spread = np.sqrt(before.var(axis=0).sum())
    after = before + 3
    movement = measure_movement(before, after)
    np.testing.assert_allclose(movement.own, 0, atol=1e-12)
    assert movement.common == pytest.approx(3 * np.sqrt(8) / spread)
    after[7, 2] += 10
    movement = measure_movement(before, after)
    assert movement.own.argmax() == 7
    assert movement.own[7] == pytest.approx(10 * 49 / 50 / spread)


def test_the_image_far_from_all_others_is_the_most_isolated() -> None:
    vectors = np.random.default_rng(0).standard_normal((40, 6))
    vectors[11] += 9
    isolation = measure_isolation(centred_gram(vectors), 3)
    assert isolation.argmax() == 11
    apart = np.sort(np.linalg.norm(vectors[11] - np.delete(vectors, 11, axis=0), axis=1))[:3].mean()
    others = [
        np.sort(np.linalg.norm(v - np.delete(vectors, i, axis=0), axis=1))[:3].mean()
        for i, v in enumerate(vectors)
    ]
    assert isolation[11] == pytest.approx(apart / np.median(others), rel=1e-4)


def test_the_plane_is_that_of_the_singular_vectors_and_follows_the_signs_of_another() -> None:
    vectors = np.random.default_rng(0).standard_normal((30, 6)) * [9, 5, 1, 1, 1, 1]
    plane = principal_plane(centred_gram(vectors))
    left, sizes, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(
        np.abs(plane.points), np.abs(left * sizes)[:, :2], rtol=1e-3, atol=1e-3
    )
    np.testing.assert_allclose(plane.shares, (sizes**2 / (sizes**2).sum())[:2], rtol=1e-4)
    flipped = type(plane)(-plane.points, plane.shares)
    np.testing.assert_allclose(
        principal_plane(centred_gram(vectors), flipped).points, -plane.points
    )


@pytest.mark.parametrize("measure", [measure_planes, measure_spectra])
def test_two_images_make_no_plane_and_no_spectrum(tmp_path: Path, measure: Callable) -> None:
    path = tmp_path / "feature_stats" / "stats.pt"
    write_with_vectors(path, left_out=IMAGES - 2)
    with pytest.raises(InputError, match="2 images have vectors here; 3 are needed"):
        measure(read_features(path), Representation.PRE, TokenRole.PATCH)
