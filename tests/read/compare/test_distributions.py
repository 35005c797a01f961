"""Against scipy's distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from analysis.read.compare.distributions import (
    f_quantile,
    inverse_trigamma,
    positive_quadratic_form,
    two_sided_t,
)


def test_t_tails_are_two_sided_and_keep_infinity_and_nan() -> None:
    t = np.array([0, 1e-9, 1.7, 8, 1e5, np.inf, np.nan])
    np.testing.assert_allclose(two_sided_t(t, 7.5), 2 * stats.t.sf(t, 7.5), rtol=1e-9)
    np.testing.assert_array_equal(two_sided_t(-t, 7.5), two_sided_t(t, 7.5))


def test_quantiles_are_those_below_which_the_probability_lies() -> None:
    assert f_quantile(0.95, 3, 14) == pytest.approx(stats.f.ppf(0.95, 3, 14))


@pytest.mark.parametrize("x", [1e-5, 1e-3, 0.5, 3.5, 100, 1e5, 1e8])
def test_inverse_trigamma_returns_to_where_it_came_from(x: float) -> None:
    assert float(inverse_trigamma(special.polygamma(1, x))) == pytest.approx(
        x, rel=1e-4 if x < 1e-4 else 1e-7
    )


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
    assert (positive_quadratic_form(np.array([weights, weights])) == expected).all()
