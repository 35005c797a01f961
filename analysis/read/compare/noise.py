"""Whether two versions differ by more than chance, channel by channel and layer by layer.

The mean of every channel moves a little on other images. How much is read from the image groups
(`image_groups`), never from the number of tokens. Versions measured on the same images are
compared group by group (*paired*: what is special about an image cancels); other versions by the
groups of each. The error of each channel is made steadier by all others (`moderation`), and of
thousands of channels only those are flagged that a false discovery rate allows. max |x| grows with
the number of tokens and has no place here.

All differences are B - A in units of the pooled std, P = sqrt(½ (σA² + σB²)).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.payload.groups import TINY_VARIANCE, GroupStats
from analysis.read.compare.distributions import positive_quadratic_form, two_sided_t
from analysis.read.compare.false_discovery import find_discoveries
from analysis.read.compare.moderation import moderate_variances

Floats = NDArray[np.float64]

LEVEL = 0.01
"""Accepted share of channels that were flagged by chance among those flagged."""

RESOLUTION = 1e-5
"""Two runs of the same network agree to this part of a channel's root mean square, no better."""

NO_GROUPS = (
    "Without statistics by image group nobody can tell a difference from noise, so nothing is "
    "called significant."
)
TOO_FEW_GROUPS = (
    "Fewer than two image groups hold images, so there is no noise to compare with and nothing is "
    "called significant."
)


@dataclass(frozen=True)
class Effect:
    """One kind of difference, channel by channel; B - A."""

    value: Floats
    """``[channels]``."""
    error: Floats
    """``[channels]``: moderated standard error; NaN where there is no noise to compare with."""
    p: Floats
    """``[channels]``: how often chance alone gives as much; NaN likewise."""
    flagged: NDArray[np.bool_]
    """``[channels]``: beyond the noise."""


@dataclass(frozen=True)
class CellNoise:
    """Two versions in one layer, representation and role."""

    shift: Effect
    """(μB - μA) / P."""
    log_ratio: Effect
    """log(σB / σA), freed of the bias of few images."""
    drift: float
    """sqrt of the mean over channels of ((μA - μB)² + (σA - σB)²) / P²."""
    noise_floor: float
    """Root mean square of the drift that chance alone gives; NaN where it cannot be told."""
    drift_p: float
    """How often chance alone gives at least this drift; NaN likewise."""
    paired: bool
    """Whether group differences were used, rather than the groups of each version."""
    note: str | None
    """Why nothing is called significant, where that is so."""

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Channels whose mean or std differs by more than noise, ``[channels]``."""
        return self.shift.flagged | self.log_ratio.flagged


@dataclass(frozen=True)
class _Sample:
    """Independent values, as many as groups, whose weighted mean adds to a difference."""

    values: Floats
    """``[groups, channels]``; of the version to compare from with the opposite sign."""
    weights: Floats
    """``[groups]``: the variance of a value is proportional to 1 / weight."""

    @property
    def df(self) -> int:
        return len(self.weights) - 1

    @cached_property
    def mean(self) -> Floats:
        """``[channels]``."""
        return self.weights @ self.values / self.weights.sum()

    @cached_property
    def residuals(self) -> Floats:
        """``[groups, channels]``, scaled: their squares sum to `df` times `variance`."""
        share = self.weights / self.weights.sum()
        return np.sqrt(share)[:, None] * (self.values - self.mean)

    @property
    def variance(self) -> Floats:
        """``[channels]``: of the mean."""
        return np.einsum("gc,gc->c", self.residuals, self.residuals) / self.df


def compare_groups(
    a: GroupStats,
    b: GroupStats,
    *,
    same_images: bool,
    level: float = LEVEL,
    resolution: float = RESOLUTION,
    note: str = TOO_FEW_GROUPS,
) -> CellNoise:
    """Compare two versions in one layer, representation and role.

    Args:
        a: The groups of the version to compare from.
        b: Those of the version to compare with; as many channels.
        same_images: Whether both were measured on the same list of images. Paired then, if the
            token counts agree group by group too.
        level: Accepted share of false discoveries; half of it for means, half for stds.
        resolution: To what part of a channel's root mean square a measurement can be repeated.
        note: What to say where fewer than two groups hold images.
    """
    paired = same_images and np.array_equal(a.count, b.count)
    a, b = a.present(), b.present()
    groups = min(len(a.count), len(b.count))
    if groups == 0:
        unknown = _untested(np.full(a.channels, np.nan))
        return CellNoise(unknown, unknown, np.nan, np.nan, np.nan, paired, note)
    (mean_a, std_a), (mean_b, std_b) = a.pool(), b.pool()
    variance = np.maximum((std_a**2 + std_b**2) / 2, TINY_VARIANCE)
    pooled = np.sqrt(variance)
    shift = (mean_b - mean_a) / pooled
    drift = float(np.sqrt(np.mean(shift**2 + (std_b - std_a) ** 2 / variance)))
    if groups < 2:
        floor = np.sqrt(TINY_VARIANCE)
        ratio = np.log(np.maximum(std_b, floor) / np.maximum(std_a, floor))
        nothing = _untested(shift), _untested(ratio)
        return CellNoise(*nothing, drift, np.nan, np.nan, paired, note)

    shifts = _samples(a, b, a.mean / pooled, b.mean / pooled, paired)
    ratios = _samples(a, b, a.log_std_values(), b.log_std_values(), paired)
    both = [
        _Sample(np.concatenate([x.values, y.values], axis=1), x.weights)
        for x, y in zip(shifts, ratios, strict=True)
    ]
    repeatable = resolution * np.sqrt((mean_a**2 + mean_b**2) / 2 + variance) / pooled
    return CellNoise(
        _test(shifts, repeatable, level / 2),
        _test(ratios, repeatable, level / 2),
        drift,
        float(np.sqrt(sum(sample.variance.sum() for sample in both) / a.channels)),
        _test_drift(both, 2 * float(np.sum(repeatable**2))),
        paired,
        None,
    )


def _samples(
    a: GroupStats, b: GroupStats, values_a: Floats, values_b: Floats, paired: bool
) -> list[_Sample]:
    """Return independent samples whose means add up to the difference."""
    if paired:
        return [_Sample(values_b - values_a, a.count.astype(np.float64))]
    return [
        _Sample(-values_a, a.count.astype(np.float64)),
        _Sample(values_b, b.count.astype(np.float64)),
    ]


def _test(samples: list[_Sample], repeatable: Floats, level: float) -> Effect:
    value, variance, doubt = (np.zeros_like(repeatable) for _ in range(3))
    for sample in samples:
        moderated, df = moderate_variances(sample.variance, sample.df)
        scale = np.sqrt(np.where(moderated > 0, moderated, np.inf))
        # Channels that vary together know no more about their variance than one of them does.
        df = np.minimum(df, sample.df * _count_independent(sample.residuals / scale))
        value += sample.mean
        variance += moderated
        doubt += moderated**2 / df
    df = np.divide(variance**2, doubt, out=np.ones_like(doubt), where=doubt > 0)  # Welch 1947
    error = np.sqrt(variance + repeatable**2)
    t = np.divide(value, error, out=np.where(value == 0, 0.0, np.inf), where=error > 0)
    p = two_sided_t(t, df)
    return Effect(value, error, p, find_discoveries(p, level))


def _count_independent(residuals: Floats) -> float:
    """Return how many independent channels would vary together as these do, 1 or more.

    That is tr(S)² / tr(S²), S being their covariance (Satterthwaite 1946). Both traces are
    estimated without bias from the inner products between groups, which are Wishart.

    Args:
        residuals: ``[groups, channels]`` of channels of about equal variance.
    """
    df = len(residuals) - 1
    products = residuals @ residuals.T
    trace, square = float(np.trace(products)), float((products**2).sum())
    if df == 1 or trace == 0:  # two groups cannot tell: as if all channels were one
        return 1.0
    unbiased = (df * square - trace**2) / (df * (df - 1) * (df + 2))
    independent = (trace / df) ** 2 / max(unbiased, np.finfo(np.float64).tiny)
    return min(max(independent, 1.0), float(residuals.shape[1]))


def _test_drift(samples: list[_Sample], repeatable: float) -> float:
    """Return how often chance alone gives a difference of at least this length.

    A rotation test (Langsrud 2005, Rotation tests): without a change the difference between the
    versions is a direction like any other among the groups, so its length is compared with that
    in a random direction. Exact however the channels depend on each other.

    Args:
        samples: Of shifts and log ratios together.
        repeatable: Squared length that rounding may have.
    """
    weights = np.concatenate([sample.weights for sample in samples])
    # Of two samples the level they share says nothing; signs as stored, so B's level is -A's.
    signs = np.repeat([-1.0, 1.0][-len(samples) :], [len(s.weights) for s in samples])
    values = signs[:, None] * np.concatenate([sample.values for sample in samples])
    if len(samples) == 2:
        values = values - weights @ values / weights.sum()
    rows = np.sqrt(weights)[:, None] * values
    squares = np.linalg.eigvalsh(rows @ rows.T)[len(samples) - 1 :]
    length = float(np.sum(sum(sample.mean for sample in samples) ** 2)) - repeatable
    unit = sum(1 / float(sample.weights.sum()) for sample in samples)
    return positive_quadratic_form((squares - max(length, 0.0) / unit).astype(np.float64))


def _untested(value: Floats) -> Effect:
    unknown = np.full_like(value, np.nan)
    return Effect(value, unknown, unknown, np.zeros(value.shape, dtype=bool))
