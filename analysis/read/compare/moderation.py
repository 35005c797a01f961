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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.read.compare.distributions import inverse_trigamma

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

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
    """What the variances of many channels say about the variance of one, ``[cells, 1]`` each."""

    variance: Floats
    df: Floats
    """How much that weighs, in degrees of freedom; 0 nothing, infinite everything."""


def fit_prior(
    variances: Floats, df: float, *, margin: float = MARGIN, among: Mask | None = None
) -> Prior:
    """Estimate the prior of every cell from sample variances by the moments of their logarithms.

    Args:
        variances: ``[cells, channels]``, all above 0 where they count.
        df: Degrees of freedom behind each.
        margin: By how many standard errors more than they seem to they are taken to differ: a
            few alike by chance prove little, and nothing is lost where they are thousands.
            limma's own estimate has 0.
        among: ``[cells, channels]``: which of them count, two or more in a cell; all where None.
    """
    from scipy import special  # a fifth of a second, which the first page does not need

    among = np.ones(variances.shape, dtype=bool) if among is None else among
    number = np.maximum(among.sum(axis=-1, keepdims=True), 2)
    logs = np.log(variances, out=np.zeros_like(variances), where=among)
    center = logs.sum(axis=-1, keepdims=True) / number
    apart = np.where(among, (logs - center) ** 2, 0).sum(axis=-1, keepdims=True) / (number - 1)
    center = center - special.digamma(df / 2) + np.log(df / 2)
    spread = apart * (1 + margin * np.sqrt(2 / (number - 1))) - special.polygamma(1, df / 2)
    # no more different than chance makes them: one variance for all
    alike = spread <= 0
    half = inverse_trigamma(np.where(alike, 1.0, spread))
    mean = np.where(among, variances, 0).sum(axis=-1, keepdims=True) / number
    own = np.exp(center + special.digamma(half) - np.log(half))
    return Prior(np.where(alike, mean, own), np.where(alike, np.inf, 2 * half))


def moderate_variances(variances: Floats, df: float) -> tuple[Floats, Floats]:
    """Draw each channel's variance toward what the others of its cell make plausible.

    Args:
        variances: ``[cells, channels]``, 0 or more. Zeros are drawn toward the prior but do not
            shape it.
        df: Degrees of freedom behind each, 1 or more.

    Returns:
        Variances and their degrees of freedom, ``[cells, channels]`` each. The latter never exceed
        what the variances that shaped the prior have together.
    """
    moderated, total = variances.copy(), np.full(variances.shape, float(df))
    if variances.shape[-1] < FEWEST_CHANNELS:
        return moderated, total
    measured = variances > 0
    typical = measured & _near_most(variances, measured)
    usable = typical.sum(axis=-1, keepdims=True) >= FEWEST_CHANNELS
    if not usable.any():
        return moderated, total
    prior = fit_prior(variances, df, among=typical)
    settled = np.zeros_like(usable)
    for _ in range(_ROUNDS):
        near = measured & (np.abs(_f_deviate(_over(variances, prior), df, prior.df)) < FAR)
        few = near.sum(axis=-1, keepdims=True) < FEWEST_CHANNELS
        settled |= few | (near == typical).all(axis=-1, keepdims=True)
        if settled.all():
            break
        typical = np.where(settled, typical, near)
        better = fit_prior(variances, df, among=typical)
        prior = Prior(
            np.where(settled, prior.variance, better.variance),
            np.where(settled, prior.df, better.df),
        )
    beyond = measured & (_f_deviate(_over(variances, prior), df, prior.df) >= FAR)
    _draw(moderated, total, df, usable & ~beyond, prior, measured & ~beyond)
    enough = usable & (beyond.sum(axis=-1, keepdims=True) >= FEWEST_CHANNELS)
    if enough.any():
        own = fit_prior(variances, df, among=beyond)
        _draw(moderated, total, df, enough & beyond, own, beyond)
    return moderated, total


def _over(variances: Floats, prior: Prior) -> Floats:
    """Divide by the prior's variance; 1 in cells that have none."""
    known = prior.variance > 0
    return np.divide(variances, prior.variance, out=np.ones_like(variances), where=known)


def _draw(
    variances: Floats, total: Floats, df: float, where: Mask, prior: Prior, shaped: Mask
) -> None:
    """Replace the marked variances and their degrees of freedom in place."""
    most = df * shaped.sum(axis=-1, keepdims=True)
    weight = df / (df + prior.df)
    drawn = weight * variances + (1 - weight) * prior.variance
    variances[where] = drawn[where]
    total[where] = np.broadcast_to(np.minimum(df + prior.df, most), total.shape)[where]


def _near_most(variances: Floats, measured: Mask) -> Mask:
    """Mark variances whose logarithm is not far from the middle half, whatever the others are."""
    logs = np.log(variances, out=np.full(variances.shape, np.inf), where=measured)
    ordered, number = np.sort(logs, axis=-1), measured.sum(axis=-1, keepdims=True)
    ordered[~np.isfinite(ordered)] = 0.0
    low, middle, high = (_quantile(ordered, number, share) for share in (0.25, 0.5, 0.75))
    reach = np.maximum(VERY_FAR * _IQR_TO_STD * (high - low), 1.0)
    return np.abs(np.where(measured, logs, middle) - middle) <= reach


def _quantile(ordered: Floats, number: NDArray[np.int64], share: float) -> Floats:
    """Return a quantile of the first `number` of each row, ``[cells, 1]``; 0 of none."""
    at = share * np.maximum(number - 1, 0)
    below = np.floor(at).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(number - 1, 0))
    low, high = (np.take_along_axis(ordered, i, axis=-1) for i in (below, above))
    return np.where(number > 0, low + (at - below) * (high - low), 0.0)


def _f_deviate(f: Floats, df1: float, df2: Floats) -> Floats:
    """Return F as a standard normal deviate (Paulson 1942), exact enough for a cut."""
    one, two = 2 / (9 * df1), 2 / (9 * df2)
    root = np.cbrt(f)
    return (root * (1 - two) - (1 - one)) / np.sqrt(one + root * root * two)
