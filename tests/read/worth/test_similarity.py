"""Similarity: textbook numbers, invariances, and nothing where there is nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analysis.errors import InputError
from analysis.payload.features import read_features
from analysis.read.worth.grams import (
    gram_of,
    keep_known,
    leave_out_largest,
    pair_images,
    thin,
)
from analysis.read.worth.layers import rank_by_movement
from analysis.read.worth.ridge import centred_gram
from analysis.read.worth.similarity import (
    biased_cka,
    compare_grams,
    effective_rank,
    similarity,
    variance_spectrum,
)
from analysis.vocabulary import Cell, Representation, TokenRole
from tests import ROOT
from tests.factories.vectors import IMAGES, write_with_vectors

CELL = Cell(1, Representation.PRE, TokenRole.PATCH)


def sets(seed: int = 0, images: int = 30, channels: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((images, channels))
    return a, a[:, :6] @ rng.standard_normal((6, 9)) + rng.standard_normal((images, 9))


def hsic(k: np.ndarray, m: np.ndarray) -> float:
    """Unbiased HSIC as Song et al. write it."""
    n, one = len(k), np.ones(len(k))
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    total = one @ k @ one * (one @ m @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ m) + total - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))


def test_debiased_cka_is_that_of_the_published_formula() -> None:
    a, b = sets()
    k, m = a @ a.T, b @ b.T
    expected = hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))
    found = compare_grams([centred_gram(a)], [centred_gram(b)])
    assert found.cka[0, 0] == pytest.approx(expected, rel=1e-5)


def test_biased_cka_is_that_of_the_cross_covariances() -> None:
    a, b = (x - x.mean(axis=0) for x in sets())
    expected = np.linalg.norm(a.T @ b) ** 2 / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b)
    assert biased_cka(centred_gram(a), centred_gram(b)) == pytest.approx(expected, rel=1e-5)


def test_similarity_is_blind_to_rotation_scale_and_shift() -> None:
    a, b = sets()
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((12, 12)))[0]
    plain = compare_grams([centred_gram(a)], [centred_gram(b)])
    turned = compare_grams([centred_gram(300 * a @ turn + 5)], [centred_gram(b)])
    np.testing.assert_allclose(turned.cka, plain.cka, rtol=1e-4)
    np.testing.assert_array_equal(turned.overlap, plain.overlap)
    itself = compare_grams([centred_gram(a)], [centred_gram(3 * a @ turn)])
    assert itself.cka[0, 0] == pytest.approx(1, rel=1e-5)
    assert itself.overlap[0, 0] == 1


def test_unrelated_vectors_are_alike_only_before_debiasing() -> None:
    rng = np.random.default_rng(0)
    a, b = (centred_gram(rng.standard_normal((50, 1280))) for _ in range(2))
    found = compare_grams([a], [b])
    assert biased_cka(a, b) > 0.9
    assert abs(found.cka[0, 0]) < 0.05
    assert found.overlap[0, 0] == pytest.approx(found.chance, abs=0.08)


def test_the_standard_error_is_the_spread_over_new_images() -> None:
    estimates, errors = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        a = rng.standard_normal((60, 5))
        b = a + 1.5 * rng.standard_normal((60, 5))
        found = compare_grams([centred_gram(a)], [centred_gram(b)])
        estimates.append(found.cka[0, 0])
        errors.append(found.error[0, 0])
    assert 0.6 < np.mean(errors) / np.std(estimates) < 1.6


def test_every_layer_of_one_is_compared_with_every_layer_of_the_other() -> None:
    a, b = sets()
    grams = [centred_gram(a), centred_gram(b)]
    found = compare_grams(grams, [*grams, centred_gram(a[:, :4])])
    assert found.cka.shape == found.error.shape == found.overlap.shape == (2, 3)
    np.testing.assert_allclose(np.diagonal(found.cka), 1)
    assert found.cka[0, 1] == pytest.approx(found.cka[1, 0])


def test_one_large_channel_makes_unrelated_vectors_alike_until_it_is_left_out() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 60, 40))
    a[:, 3] = b[:, 8] = 50 * rng.standard_normal(60)
    assert compare_grams([centred_gram(a)], [centred_gram(b)]).cka[0, 0] > 0.9
    left = [centred_gram(leave_out_largest(x, 1)) for x in (a, b)]
    assert abs(compare_grams(left[:1], left[1:]).cka[0, 0]) < 0.2


def test_the_spectrum_is_that_of_the_covariance_and_its_rank_counts_equal_directions() -> None:
    a, _ = sets()
    expected = np.linalg.eigvalsh(np.cov(a.T))[::-1]
    spectrum = variance_spectrum(centred_gram(a))
    np.testing.assert_allclose(spectrum[:12], expected / expected.sum(), rtol=1e-4)
    equal = np.linalg.qr(np.random.default_rng(0).standard_normal((40, 8)))[0]
    equal -= equal.mean(axis=0)
    equal = np.linalg.qr(equal)[0]
    assert effective_rank(variance_spectrum(centred_gram(equal))) == pytest.approx(8, rel=1e-4)


def test_different_images_are_refused() -> None:
    a, b = sets()
    with pytest.raises(InputError, match="same 8 or more images"):
        compare_grams([centred_gram(a)], [centred_gram(b[:20])])


def test_the_python_interface_to_image_vectors_needs_no_torch() -> None:
    code = (
        "from analysis import probe, read_features, similarity; import sys; "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_an_image_without_a_finite_vector_is_left_out() -> None:
    a, b = sets()
    whole = compare_grams([centred_gram(a[1:])], [centred_gram(b[1:])])
    a[0, 3] = np.nan
    known, (first, second) = keep_known([gram_of(a)], [gram_of(b)])
    assert known.tolist() == list(range(1, 30))
    found = compare_grams(first, second)
    np.testing.assert_allclose(found.cka, whole.cka, rtol=1e-5)
    np.testing.assert_array_equal(found.overlap, whole.overlap)


def test_versions_are_compared_on_the_images_that_both_keep(tmp_path: Path) -> None:
    paths = [tmp_path / name / "feature_stats" / "stats.pt" for name in ("a", "b")]
    write_with_vectors(paths[0])
    write_with_vectors(paths[1], left_out=20)
    a, b = map(read_features, paths)
    first, second = pair_images(a, b)
    assert len(first) == IMAGES - 20
    assert [a.paths[n] for n in first] == [b.paths[n] for n in second]
    found = similarity(a, b)
    assert found.images == IMAGES - 20
    np.testing.assert_allclose(np.diagonal(found.cka), 1, atol=1e-4)
    np.testing.assert_allclose(rank_by_movement(a, b, CELL).values, 0, atol=1e-2)


def test_images_are_thinned_evenly() -> None:
    assert thin(np.arange(5), 9).tolist() == [0, 1, 2, 3, 4]
    assert thin(np.arange(101), 5).tolist() == [0, 25, 50, 75, 100]
