"""Probes: scikit-learn's numbers, noise is not called predictable, the right layer is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV, RidgeCV
from sklearn.metrics import balanced_accuracy_score

from analysis.errors import InputError
from analysis.payload.features import read_features
from analysis.read.normalization import build_normalization, normalize
from analysis.read.worth.probe import Probe, merge, probe, probe_vectors, subtract
from analysis.read.worth.problem import Measure, make_problem
from analysis.read.worth.ridge import centred_gram, held_out_errors
from analysis.vocabulary import Cell, Representation, TokenRole
from tests.factories.vectors import write_with_vectors


def cell(layer: int) -> Cell:
    return Cell(layer, Representation.PRE, TokenRole.CLS)


def layers_of(rng: np.random.Generator, images: int = 60, channels: int = 100) -> np.ndarray:
    return rng.standard_normal((4, images, channels)).astype(np.float32)


def probe_all(layers: np.ndarray, values: np.ndarray, **options: object) -> Probe:
    problem = make_problem("target", values, **options)  # type: ignore[arg-type]
    return merge(probe_vectors(x, problem, cell(n)) for n, x in enumerate(layers))


def test_held_out_errors_are_those_of_ridgecv_fitted_fold_by_fold() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((50, 80)) + 7
    targets = np.column_stack([vectors[:, 0] + rng.standard_normal(50), rng.standard_normal(50)])
    folds = [np.arange(0, 50, 4), np.arange(3, 17), np.array([5])]
    alphas = [0.1, 3.0, 40.0, 1000.0]
    errors = held_out_errors(centred_gram(vectors), targets[:, :, None], folds, alphas)
    for fold, error in zip(folds, errors, strict=True):
        rest = np.setdiff1d(np.arange(50), fold)
        fitted = RidgeCV(alphas, alpha_per_target=True).fit(vectors[rest], targets[rest])
        expected = targets[fold] - fitted.predict(vectors[fold])
        np.testing.assert_allclose(error[:, :, 0], expected, rtol=1e-4, atol=1e-4)


def test_the_score_is_r2_against_the_mean_of_the_fitted_images() -> None:
    rng = np.random.default_rng(1)
    vectors, values = rng.standard_normal((40, 9)), rng.standard_normal(40)
    values += vectors[:, 0]
    problem = make_problem("y", values, repeats=1, permutations=1)
    found = probe_vectors(vectors, problem, cell(0))
    lost = total = 0.0
    for _, out in problem.held_out():
        rest = np.setdiff1d(np.arange(40), out)
        gram = centred_gram(vectors)
        alphas = [np.trace(gram) / 40 * 10.0**power for power in range(-3, 5)]
        fitted = RidgeCV(alphas).fit(vectors[rest], values[rest])
        lost += np.square(values[out] - fitted.predict(vectors[out])).sum()
        total += np.square(values[out] - values[rest].mean()).sum()
    assert found.scores[0] == pytest.approx(1 - lost / total, rel=1e-4)
    assert found.by_fold.mean() == pytest.approx(found.scores[0], rel=1e-6)


@pytest.mark.parametrize("layer", [0, 2])
@pytest.mark.parametrize("as_category", [False, True])
def test_the_best_cell_is_the_layer_that_the_target_is_linear_in(
    layer: int, as_category: bool
) -> None:
    rng = np.random.default_rng(layer)
    layers = layers_of(rng, 150)
    values = layers[layer] @ (rng.standard_normal(100) * (np.arange(100) < 3))
    labels = np.where(values > 0, "high", "low")
    found = probe_all(layers, labels if as_category else values.astype(np.float64))
    assert found.best == layer
    assert found.is_predictable
    measure = Measure.BALANCED_ACCURACY if as_category else Measure.R2
    assert found.problem.measure is measure


@pytest.mark.parametrize("as_category", [False, True])
def test_noise_is_called_predictable_in_at_most_five_of_a_hundred_seeds(as_category: bool) -> None:
    called = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        layers = layers_of(rng, 24, 30)[:2]
        values = rng.standard_normal(24)
        target = np.where(np.argsort(np.argsort(values)) < 10, "a", "b") if as_category else values
        called += probe_all(layers, target, repeats=1, permutations=39).is_predictable
    assert called <= 5


def test_noise_common_to_a_group_is_not_called_predictable_when_groups_stay_together() -> None:
    called = {"grouped": 0, "free": 0}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        dates = np.repeat(np.arange(8), 6)
        vectors = rng.standard_normal((8, 40))[dates] + 0.2 * rng.standard_normal((48, 40))
        values = rng.standard_normal(8)[dates]
        options = {"repeats": 1, "permutations": 39}
        grouped = probe_all(vectors[None], values, group="date", groups=dates, **options)
        called["grouped"] += grouped.is_predictable
        called["free"] += probe_all(vectors[None], values, **options).is_predictable
    assert called["grouped"] <= 2
    assert called["free"] == 20


def test_images_of_a_group_are_held_out_together() -> None:
    dates = np.arange(40) % 7
    problem = make_problem("y", np.arange(40.0), group="date", groups=dates)
    for folds in problem.folds:
        assert all(len(set(folds[dates == date])) == 1 for date in range(7))
    values = dates[problem.permutations]
    assert all(len(row) == 40 for row in values)


def test_images_without_a_value_are_left_out() -> None:
    rng = np.random.default_rng(0)
    vectors, values = rng.standard_normal((40, 20)), rng.standard_normal(40)
    holes = np.where(np.arange(40) % 4 == 0, np.nan, values)
    kept = np.flatnonzero(np.isfinite(holes))
    a = probe_vectors(vectors, make_problem("y", holes), cell(0))
    b = probe_vectors(vectors[kept], make_problem("y", values[kept]), cell(0))
    assert a.scores == b.scores


def test_a_cell_with_a_vector_that_is_not_finite_has_no_number() -> None:
    layers = layers_of(np.random.default_rng(0))
    layers[1, 3, 2] = np.nan
    found = probe_all(layers, layers[0, :, 0].astype(np.float64))
    assert np.isnan(found.scores[1])
    assert found.best == 0


def test_equal_versions_differ_by_nothing_and_a_much_better_one_by_more_than_noise() -> None:
    layers = layers_of(np.random.default_rng(0))
    values = layers[0, :, :2].sum(axis=1).astype(np.float64)
    found = probe_all(layers, values)
    assert subtract(found, found, cell(0)).is_noise
    assert not subtract(found, found, cell(0), cell(1)).is_noise
    other = probe_all(layers, values + 1e-3)
    with pytest.raises(InputError, match="different images"):
        subtract(found, other, cell(0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.arange(5.0), "5 images have a value"),
        (np.ones(40), "the same value"),
        (np.array(["a"] * 38 + ["b"] * 2), "rarest on 2 images"),
    ],
)
def test_a_target_that_cannot_be_probed_is_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_problem("y", values)


def test_categories_are_recognised_as_ridge_and_logistic_regression_do() -> None:
    rng = np.random.default_rng(3)
    labels = np.array(["rare"] * 30 + ["common"] * 90)
    vectors = rng.standard_normal((120, 20)) + 0.8 * (labels == "rare")[:, None] * (
        np.arange(20) < 4
    )
    problem = make_problem("label", labels, permutations=1)
    found = probe_vectors(vectors, problem, cell(0)).scores[0]
    scores = {"ridge": [], "logistic": []}
    alphas = np.trace(centred_gram(vectors)) / 120 * 10.0 ** np.arange(-3, 5)
    for fold in problem.folds:
        said = {name: np.empty_like(labels) for name in scores}
        for n in range(fold.max() + 1):
            out, rest = fold == n, fold != n
            models = {
                "ridge": RidgeClassifierCV(alphas, class_weight="balanced"),
                "logistic": LogisticRegression(C=0.1, class_weight="balanced"),
            }
            for name, model in models.items():
                said[name][out] = model.fit(vectors[rest], labels[rest]).predict(vectors[out])
        for name in scores:
            scores[name].append(balanced_accuracy_score(labels, said[name]))
    assert found == pytest.approx(np.mean(scores["ridge"]), abs=0.05)
    assert found == pytest.approx(np.mean(scores["logistic"]), abs=0.06)
    assert found > 0.7


def test_the_vector_of_share_is_applied_as_its_page_says(tmp_path: Path) -> None:
    path = tmp_path / "feature_stats" / "stats.pt"
    write_with_vectors(path)
    features = read_features(path)
    where = Cell(1, Representation.PRE, TokenRole.PATCH)
    arrays = build_normalization(features.table, where.representation, where.role)
    mean, std, keep = (arrays[f"layer_1.{name}"] for name in ("mean", "std", "keep"))
    tokens = features.vectors(where)
    expected = (tokens - mean) / np.maximum(std, 1e-6) * keep
    np.testing.assert_allclose(normalize(features.table, where, tokens), expected, rtol=1e-5)
    problem = make_problem("Mass", features.targets["Mass"])
    by_hand = probe_vectors(expected, problem, where)
    found = probe(features, "Mass", cells=[where], normalized=True)
    assert found.scores[0] == pytest.approx(by_hand.scores[0], rel=1e-4)


def test_of_many_images_evenly_spaced_ones_are_probed() -> None:
    values = np.arange(2500.0)
    values[::2] = np.nan
    problem = make_problem("y", values, permutations=1)
    assert len(problem.kept) == 1000
    assert (problem.kept % 2 == 1).all()
    assert (problem.kept[0], problem.kept[-1]) == (1, 2499)
