"""Moderated variances: against limma's formulas in scipy, and against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, special

from analysis.read.compare.moderation import fit_prior, moderate_variances

DF = 7


def _draw(prior_df: float, channels: int = 2000, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    truth = np.full(channels, 3.0)
    if np.isfinite(prior_df):
        truth = 3.0 * prior_df / rng.chisquare(prior_df, channels)
    return truth * rng.chisquare(DF, channels) / DF


def _limma(variances: np.ndarray) -> tuple[float, float]:
    """Return limma's fitFDist: s0² and d0 (Smyth 2004, section 6.2)."""
    e = np.log(variances) - special.digamma(DF / 2) + np.log(DF / 2)
    spread = np.var(e, ddof=1) - special.polygamma(1, DF / 2)
    solution = optimize.root_scalar(
        lambda x: float(special.polygamma(1, x)) - spread, bracket=(1e-3, 1e6), xtol=1e-12
    )
    half = float(solution.root)
    return float(np.exp(e.mean() + special.digamma(half) - np.log(half))), 2 * half


@pytest.mark.parametrize("prior_df", [2, 4, 20])
def test_the_prior_is_limmas(prior_df: float) -> None:
    variances = _draw(prior_df)
    prior = fit_prior(variances, DF, margin=0)
    expected = _limma(variances)
    assert (float(prior.variance[0]), float(prior.df[0])) == pytest.approx(expected, rel=1e-6)
    assert float(prior.variance[0]) == pytest.approx(3, rel=0.1)
    assert float(prior.df[0]) == pytest.approx(prior_df, rel=0.3)


def test_variances_are_drawn_as_limma_draws_them() -> None:
    variances = _draw(20)
    moderated, df = moderate_variances(variances, DF)
    prior = fit_prior(variances, DF)
    expected = (prior.df * prior.variance + DF * variances) / (prior.df + DF)
    np.testing.assert_allclose(moderated, expected)
    np.testing.assert_allclose(df, np.full(len(df), prior.df[0] + DF))


def test_caution_costs_little_among_thousands() -> None:
    variances = _draw(20, channels=4000)
    careful, limma = fit_prior(variances, DF), fit_prior(variances, DF, margin=0)
    assert float(careful.variance[0]) == pytest.approx(float(limma.variance[0]), rel=0.02)
    assert 0.7 * limma.df < careful.df < limma.df


def test_equal_variances_become_almost_one() -> None:
    variances = _draw(np.inf)
    moderated, df = moderate_variances(variances, DF)
    assert np.log(moderated).std() < 0.2 * np.log(variances).std()
    assert (df > 5 * DF).all()


def test_no_channel_gets_more_degrees_of_freedom_than_all_have_together() -> None:
    _, df = moderate_variances(np.array([1.0, 1.01, 1.02]), DF)
    np.testing.assert_array_equal(df, 3 * DF)


def test_a_channel_that_varies_far_more_keeps_its_variance() -> None:
    variances = _draw(np.inf)
    variances[5] = 300.0
    moderated, df = moderate_variances(variances, DF)
    assert (moderated[5], df[5]) == (300.0, DF)
    np.testing.assert_allclose(np.delete(moderated, 5), 3.0, rtol=0.2)


def test_channels_that_vary_far_more_are_drawn_toward_each_other() -> None:
    variances = _draw(np.inf)
    variances[:50] *= 1000
    moderated, df = moderate_variances(variances, DF)
    assert np.log(moderated[:50]).std() < 0.6 * np.log(variances[:50]).std()
    np.testing.assert_allclose(np.exp(np.log(moderated[:50]).mean()), 3000, rtol=0.3)
    assert (df[:50] > DF).all()
    assert (df[:50] <= 50 * DF).all()
    np.testing.assert_allclose(moderated[50:], 3.0, rtol=0.2)
    assert (df[50:] > 5 * DF).all()  # nor do they make the others doubtful


def test_a_few_alike_by_chance_are_not_taken_to_be_alike() -> None:
    variances = _draw(np.inf, channels=5)
    assert fit_prior(variances, DF, margin=0).df == np.inf
    assert fit_prior(variances, DF).df < 20


def test_channels_without_variation_take_the_priors_and_do_not_shape_it() -> None:
    variances = _draw(np.inf)
    expected, _ = moderate_variances(variances, DF)
    with_zeros, _ = moderate_variances(np.concatenate([variances, np.zeros(500)]), DF)
    np.testing.assert_allclose(with_zeros[:-500], expected)
    assert (with_zeros[-500:] > 0).all()


@pytest.mark.parametrize("values", [[], [2.0], [1.0, 9.0], [0.0, 0.0, 0.0, 5.0]])
def test_too_few_variances_stay_as_they_are(values: list[float]) -> None:
    moderated, df = moderate_variances(np.array(values), DF)
    np.testing.assert_array_equal(moderated, values)
    np.testing.assert_array_equal(df, DF)


def test_cells_worked_on_together_are_moderated_as_each_alone() -> None:
    cells = np.stack([_draw(20, 300), _draw(np.inf, 300), _draw(4, 300)])
    cells[1, :50] *= 1000
    cells[2, 7] = 0
    together, df = moderate_variances(cells, DF)
    for cell in range(3):
        alone, alone_df = moderate_variances(cells[cell], DF)
        np.testing.assert_allclose(together[cell], alone, rtol=1e-9)
        np.testing.assert_allclose(df[cell], alone_df, rtol=1e-9)
