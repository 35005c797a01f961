"""Variances of many channels, each measured by few values, made steadier by all of them.

Eight groups give a variance with seven degrees of freedom, too few to tell chance from change
among thousands of channels. The variances of the other channels say what is plausible: an inverse
χ² prior with `df` degrees of freedom around `variance`, estimated from the logarithms of the
variances, toward which each is drawn (Smyth 2004, Linear models and empirical Bayes methods; the
"moderated t" of limma).

Some channels vary far more than the prior explains, as those with massive activations do; drawn
toward the others they would seem to change. They get a prior of their own (in the spirit of
Phipson et al. 2016, Robust hyperparameter estimation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.read.compare.distributions import digamma, inverse_trigamma, trigamma

Floats = NDArray[np.float64]

FEWEST_CHANNELS = 3
"""Fewer variances say nothing about a distribution; they stay as they are."""
MARGIN = 2.0
"""Standard errors by which variances are taken to differ more than they seem to."""
FAR = 5.0
"""Standard normal deviate from which on a variance does not belong to a prior."""
VERY_FAR = 8.0
"""The same for what may not even shape the first guess. Larger on purpose: a few moderate outliers
should lower the prior's weight, which keeps them from being called significant."""
_ROUNDS = 5
_IQR_TO_STD = 0.7413011092528009


@dataclass(frozen=True)
class Prior:
    """What the variances of many channels say about the variance of one."""

    variance: float
    df: float
    """How much that weighs, in degrees of freedom; 0 nothing, infinite everything."""


def fit_prior(variances: Floats, df: float, *, margin: float = MARGIN) -> Prior:
    """Estimate the prior from sample variances by the moments of their logarithms.

    Args:
        variances: ``[channels]``, all above 0.
        df: Degrees of freedom behind each.
        margin: By how many standard errors more than they seem to they are taken to differ: a
            few alike by chance prove little, and nothing is lost where they are thousands.
            limma's own estimate has 0.
    """
    logs = np.log(variances) - digamma(df / 2) + math.log(df / 2)
    seen = float(np.var(logs, ddof=1)) * (1 + margin * math.sqrt(2 / (len(logs) - 1)))
    spread = seen - trigamma(df / 2)
    if spread <= 0:  # no more different than chance makes them: one variance for all
        return Prior(float(np.mean(variances)), math.inf)
    half = inverse_trigamma(spread)
    return Prior(math.exp(float(np.mean(logs)) + digamma(half) - math.log(half)), 2 * half)


def moderate_variances(variances: Floats, df: float) -> tuple[Floats, Floats]:
    """Draw each channel's variance toward what the others make plausible.

    Args:
        variances: ``[channels]``, 0 or more. Zeros are drawn toward the prior but do not shape it.
        df: Degrees of freedom behind each, 1 or more.

    Returns:
        Variances and their degrees of freedom, ``[channels]`` each. The latter never exceed what
        the variances that shaped the prior have together.
    """
    moderated, total = variances.copy(), np.full(len(variances), float(df))
    measured = variances > 0
    if measured.sum() < FEWEST_CHANNELS:
        return moderated, total
    typical = measured & _near_most(variances, measured)
    prior = fit_prior(variances[typical], df)
    for _ in range(_ROUNDS):
        deviate = _f_deviate(variances / prior.variance, df, prior.df)
        before, typical = typical, measured & (np.abs(deviate) < FAR)
        if np.array_equal(before, typical) or typical.sum() < FEWEST_CHANNELS:
            break
        prior = fit_prior(variances[typical], df)
    beyond = measured & (_f_deviate(variances / prior.variance, df, prior.df) >= FAR)
    _draw(moderated, total, ~beyond, prior, df * int((measured & ~beyond).sum()))
    if beyond.sum() >= FEWEST_CHANNELS:
        own = fit_prior(variances[beyond], df)
        _draw(moderated, total, beyond, own, df * int(beyond.sum()))
    return moderated, total


def _draw(
    variances: Floats, total: Floats, where: NDArray[np.bool_], prior: Prior, most: float
) -> None:
    """Replace the marked variances and their degrees of freedom in place."""
    df = total[where]
    weight = df / (df + prior.df)
    variances[where] = weight * variances[where] + (1 - weight) * prior.variance
    total[where] = np.minimum(df + prior.df, most)


def _near_most(variances: Floats, measured: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark variances whose logarithm is not far from the middle half, whatever the others are."""
    logs = np.log(variances, out=np.zeros_like(variances), where=measured)
    low, middle, high = np.quantile(logs[measured], [0.25, 0.5, 0.75])
    return np.abs(logs - middle) <= max(VERY_FAR * _IQR_TO_STD * (high - low), 1.0)


def _f_deviate(f: Floats, df1: float, df2: float) -> Floats:
    """Return F as a standard normal deviate (Paulson 1942), exact enough for a cut."""
    one, two = 2 / (9 * df1), 2 / (9 * df2)
    root = np.cbrt(f)
    return (root * (1 - two) - (1 - one)) / np.sqrt(one + root * root * two)
