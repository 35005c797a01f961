"""Against scipy, which the product itself does not need."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from analysis.read.compare.distributions import (
    digamma,
    incomplete_beta,
    inverse_trigamma,
    positive_quadratic_form,
    trigamma,
    two_sided_t,
)


@pytest.mark.parametrize("df", [0.7, 1, 2, 7, 14, 30.5, 123, 2000, 28000])
def test_t_tails_agree_with_scipy_far_out_too(df: float) -> None:
    t = np.array([0, 1e-9, 0.1, 1, 1.7, 1.8, 2.6, 4, 8, 30, 1e5, np.inf])
    np.testing.assert_allclose(two_sided_t(t, df), 2 * stats.t.sf(t, df), rtol=1e-8, atol=1e-290)
    np.testing.assert_array_equal(two_sided_t(-t, df), two_sided_t(t, df))


def test_t_tails_keep_nan_and_broadcast() -> None:
    p = two_sided_t(np.array([[np.nan], [1.0]]), np.array([7.0, 9.0, 11.0]))
    assert np.isnan(p[0]).all()
    np.testing.assert_allclose(p[1], 2 * stats.t.sf(1, [7, 9, 11]))


def test_incomplete_beta_agrees_with_scipy_on_both_sides_of_its_mirror() -> None:
    x, a, b = np.meshgrid([0, 1e-6, 0.2, 0.5, 0.9, 1], [0.5, 3, 40, 900], [0.5, 2, 70, 3000])
    expected = special.betainc(a, b, x)
    np.testing.assert_allclose(incomplete_beta(x, a, b), expected, rtol=1e-8, atol=1e-280)


def test_many_values_are_the_same_as_one_by_one() -> None:
    t = np.random.default_rng(0).standard_t(7, 70_000)
    p = two_sided_t(t, 7.0)
    assert p[-1] == pytest.approx(float(two_sided_t(t[-1], 7.0)), rel=1e-9)
    np.testing.assert_allclose(p, 2 * stats.t.sf(np.abs(t), 7), rtol=1e-8)


@pytest.mark.parametrize("x", [1e-4, 0.1, 0.5, 3.5, 17, 1e3, 1e6])
def test_gamma_derivatives_agree_with_scipy(x: float) -> None:
    assert digamma(x) == pytest.approx(float(special.digamma(x)), rel=1e-11)
    assert trigamma(x) == pytest.approx(float(special.polygamma(1, x)), rel=1e-11)


@pytest.mark.parametrize("x", [1e-5, 1e-3, 0.5, 3.5, 100, 1e5, 1e8])
def test_inverse_trigamma_returns_to_where_it_came_from(x: float) -> None:
    assert inverse_trigamma(trigamma(x)) == pytest.approx(x, rel=1e-4 if x < 1e-4 else 1e-7)


@pytest.mark.parametrize(("df1", "df2"), [(1, 7), (1, 14), (3, 5), (7, 1), (40, 3)])
@pytest.mark.parametrize("f", [0.1, 1, 5, 50, 200])
def test_quadratic_forms_of_two_weights_are_the_f_distribution(
    f: float, df1: int, df2: int
) -> None:
    weights = np.repeat([1.0, -f * df1 / df2], [df1, df2])
    expected = stats.f.sf(f, df1, df2)
    assert positive_quadratic_form(weights) == pytest.approx(expected, abs=1e-10)
    assert positive_quadratic_form(1e9 * weights) == pytest.approx(expected, abs=1e-10)


def test_quadratic_forms_agree_with_counting_draws() -> None:
    weights = np.array([5.0, 1.0, 0.3, -0.2, -0.7, -1.0, -1.1, -4.0])
    squares = np.random.default_rng(0).chisquare(1, (400_000, 8))
    counted = np.mean(squares @ weights > 0)
    assert positive_quadratic_form(weights) == pytest.approx(counted, abs=0.003)


@pytest.mark.parametrize(
    ("weights", "expected"), [([0.0, 0.0], 1.0), ([1.0, 0.0], 1.0), ([-1.0, 0.0], 0.0)]
)
def test_quadratic_forms_of_one_sign_are_certain(weights: list[float], expected: float) -> None:
    assert positive_quadratic_form(np.array(weights)) == expected
