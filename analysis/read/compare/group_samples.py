"""How far chance alone moves all channels of a cell together, from the groups of its images.

Channels vary together, so their number says little: how many independent ones would vary as they
do is estimated from the inner products between groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.read.compare.distributions import f_quantile, positive_quadratic_form

Floats = NDArray[np.float64]

BAND = 0.95
"""Share of the comparisons without a difference whose drift lies below the band."""


@dataclass(frozen=True)
class Sample:
    """Independent values, as many as groups, whose weighted mean adds to a difference."""

    values: Floats
    """``[cells, groups, channels]``; of the baseline with the opposite sign."""
    weights: Floats
    """``[cells, groups]``: the variance of a value is proportional to 1 / weight."""

    @property
    def df(self) -> int:
        """Return the degrees of freedom of the variance."""
        return self.weights.shape[-1] - 1

    @cached_property
    def share(self) -> Floats:
        """``[cells, groups, 1]``."""
        return (self.weights / self.weights.sum(axis=-1, keepdims=True))[..., None]

    @cached_property
    def mean(self) -> Floats:
        """``[cells, channels]``."""
        return (self.share * self.values).sum(axis=-2)

    @cached_property
    def residuals(self) -> Floats:
        """``[cells, groups, channels]``, scaled: their squares sum to `df` times `variance`."""
        return np.sqrt(self.share) * (self.values - self.mean[:, None])

    @cached_property
    def variance(self) -> Floats:
        """``[cells, channels]``: of the mean."""
        return np.einsum("agc,agc->ac", self.residuals, self.residuals) / self.df


def count_independent(residuals: Floats) -> Floats:
    """Return how many independent channels would vary together as these do, 1 or more, ``[cells]``.

    That is tr(S)² / tr(S²), S being their covariance (Satterthwaite 1946).

    Args:
        residuals: ``[cells, groups, channels]`` of channels of about equal variance.
    """
    df = residuals.shape[-2] - 1
    trace, square = _estimate_traces(residuals, df)
    if df == 1:  # two groups cannot tell: as if all channels were one
        return np.ones(len(residuals))
    independent = trace**2 / np.maximum(square, np.finfo(np.float64).tiny)
    return np.clip(np.where(trace > 0, independent, 1.0), 1.0, residuals.shape[-1])


def _estimate_traces(residuals: Floats, df: int) -> tuple[Floats, Floats]:
    """Return tr(S) and tr(S²) of the covariance of channels, ``[cells]`` each.

    Both are estimated without bias from the inner products between groups, which are Wishart; of
    two groups the second is taken to be the square of the first.
    """
    products = residuals @ np.swapaxes(residuals, -1, -2)
    trace = np.trace(products, axis1=-2, axis2=-1)
    if df == 1:
        return trace, trace**2
    square = (products**2).sum(axis=(-1, -2))
    unbiased = (df * square - trace**2) / (df * (df - 1) * (df + 2))
    return trace / df, np.maximum(unbiased, 0)


def bound_length(samples: list[Sample]) -> tuple[Floats, Floats]:
    """Return mean and 95 % bound of the squared length that chance gives a difference.

    The length is a weighted sum of χ², approximated by one of them with the same mean and variance
    (Satterthwaite 1946); its mean is estimated too, so that the ratio of both is F.

    Returns:
        ``[cells]`` each.
    """
    traces = [_estimate_traces(sample.residuals, sample.df) for sample in samples]
    mean = np.asarray(sum(trace for trace, _ in traces))
    square = np.asarray(sum(square for _, square in traces))
    doubt = np.asarray(
        sum(each / sample.df for (_, each), sample in zip(traces, samples, strict=True))
    )
    if len(samples) == 2:
        cross = samples[0].residuals @ np.swapaxes(samples[1].residuals, -1, -2)
        square = square + 2 * (cross**2).sum(axis=(-1, -2)) / (samples[0].df * samples[1].df)
    most = samples[0].values.shape[-1]
    tiny = np.finfo(np.float64).tiny
    df = np.clip(mean**2 / np.maximum(square, tiny), 1.0, most)
    own = np.clip(mean**2 / np.maximum(doubt, tiny), 1.0, most * max(s.df for s in samples))
    return mean, mean * f_quantile(BAND, df, own)


def rotate_length(samples: list[Sample], repeatable: Floats) -> Floats:
    """Return how often chance alone gives a difference of at least this length, ``[cells]``.

    A rotation test (Langsrud 2005, Rotation tests): without a change the difference between the
    versions is a direction like any other among the groups, so its length is compared with that
    in a random direction. Exact however the channels depend on each other.

    Args:
        samples: Of shifts and log ratios together.
        repeatable: ``[cells]``: squared length that rounding may have.
    """
    weights = np.concatenate([sample.weights for sample in samples], axis=-1)
    # Of two samples the level they share says nothing; signs as stored, so B's level is -A's.
    signs = np.repeat([-1.0, 1.0][-len(samples) :], [s.weights.shape[-1] for s in samples])
    values = signs[:, None] * np.concatenate([sample.values for sample in samples], axis=-2)
    if len(samples) == 2:
        share = (weights / weights.sum(axis=-1, keepdims=True))[..., None]
        values = values - (share * values).sum(axis=-2, keepdims=True)
    rows = np.sqrt(weights)[..., None] * values
    squares = np.linalg.eigvalsh(rows @ np.swapaxes(rows, -1, -2))[:, len(samples) - 1 :]
    difference = np.asarray(sum(sample.mean for sample in samples))
    length = np.maximum(np.sum(difference**2, axis=-1) - repeatable, 0.0)
    unit = np.asarray(sum(1 / sample.weights.sum(axis=-1) for sample in samples))
    return positive_quadratic_form(squares - (length / unit)[:, None])
