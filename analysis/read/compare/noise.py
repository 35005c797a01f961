"""Whether two versions differ by more than chance, channel by channel and cell by cell.

The mean of every channel moves a little on other images. How much is read from the image groups
(`analysis.payload.groups`), never from the number of tokens. Versions measured on the same images
are compared group by group (*paired*: what is special about an image cancels); other versions by
the groups of each. The error of each channel is made steadier by all others (`moderation`). max |x|
grows with the number of tokens and has no place here.

All differences are version minus baseline in units of the pooled std, P = sqrt(½ (σA² + σB²)), A
being the baseline and B the version.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.language import N_
from analysis.payload.groups import TINY_VARIANCE, GroupStats
from analysis.read.compare.distributions import two_sided_t
from analysis.read.compare.drift import RESOLUTION, measure_drift
from analysis.read.compare.false_discovery import find_threshold
from analysis.read.compare.group_samples import (
    Sample,
    bound_length,
    count_independent,
    rotate_length,
)
from analysis.read.compare.moderation import moderate_variances
from analysis.read.compare.neighbours import ALL_SEPARATE, Separate

Floats = NDArray[np.float64]

LEVEL = 0.01
"""Accepted share of channels that were flagged by chance among those flagged."""

SPREAD_GROUPS = 8
"""Groups that a std is followed in, at most: the log of a std of few images is far from normal."""

NO_GROUPS = N_(
    "Without statistics by image group nobody can tell a difference "
    "from noise, so nothing is called significant."
)
TOO_FEW_GROUPS = N_(
    "Fewer than two image groups hold images, so there is no noise to "
    "compare with and nothing is called significant."
)


@dataclass(frozen=True)
class Effect:
    """One kind of difference, channel by channel; version minus baseline."""

    value: Floats
    """``[..., channels]``."""
    error: Floats
    """``[..., channels]``: moderated standard error; NaN where no noise is known."""
    p: Floats
    """``[..., channels]``: how often chance alone gives as much; NaN likewise."""


@dataclass(frozen=True)
class CellNoise:
    """Two versions in one cell or, stacked, in several."""

    shift: Effect
    """(μB - μA) / P."""
    log_ratio: Effect
    """log(σB / σA), freed of the bias of few images."""
    drift: Floats
    """``[...]``: as `analysis.read.compare.drift.measure_drift` defines it."""
    noise_floor: Floats
    """``[...]``: root mean square of the drift that chance alone gives; NaN where unknown."""
    noise_band: Floats
    """``[...]``: below it lie 95 % of the drifts that chance alone gives; NaN likewise."""
    drift_p: Floats
    """``[...]``: how often chance alone gives at least this drift; NaN likewise."""
    paired: bool
    """Whether group differences were used, rather than the groups of each version."""
    left_out: tuple[int, ...] = ()
    """Groups with other tokens in the two versions, which a paired comparison leaves out."""
    note: str | None = None
    """Why nothing is called significant, where that is so."""
    threshold: float = -1.0
    """Up to which probability a channel is flagged."""

    @property
    def shift_flagged(self) -> NDArray[np.bool_]:
        """Channels whose mean differs by more than noise, ``[..., channels]``."""
        return self.shift.p <= self.threshold

    @property
    def log_ratio_flagged(self) -> NDArray[np.bool_]:
        """Channels whose std differs by more than noise, ``[..., channels]``."""
        return self.log_ratio.p <= self.threshold

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Channels whose mean or std differs by more than noise, ``[..., channels]``."""
        return self.shift_flagged | self.log_ratio_flagged


def compare_groups(
    a: GroupStats,
    b: GroupStats,
    *,
    same_images: bool,
    level: float = LEVEL,
    threshold: float | None = None,
    resolution: float = RESOLUTION,
    separate: Separate = ALL_SEPARATE,
    note: str = TOO_FEW_GROUPS,
) -> CellNoise:
    """Compare two versions in one cell.

    Args:
        a: The groups of the baseline.
        b: Those of the version; as many channels.
        same_images: Whether both were measured on the same list of images. Paired then, by the
            groups whose token counts agree, if these are most of them.
        level: Accepted share of false discoveries among the channels of this cell.
        threshold: Up to which probability a channel is flagged, where the family of tests is
            larger than this cell; from `level` where None.
        resolution: To what part of a channel's root mean square a measurement can be repeated.
        separate: Into how many groups of neighbours those of each version are joined.
        note: What to say where fewer than two groups hold images.
    """
    stacked = (GroupStats(x.count[None], x.mean[None], x.std[None]) for x in (a, b))
    noise = compare_stacks(
        *stacked, same_images=same_images, resolution=resolution, separate=separate, note=note
    )
    if threshold is None:
        tested = np.stack([noise.shift.p, noise.log_ratio.p])
        threshold = find_threshold(tested, level)
    shift, log_ratio = (
        Effect(effect.value[0], effect.error[0], effect.p[0])
        for effect in (noise.shift, noise.log_ratio)
    )
    numbers = (noise.drift, noise.noise_floor, noise.noise_band, noise.drift_p)
    drift, floor, band, drift_p = (values[0] for values in numbers)
    return CellNoise(
        shift,
        log_ratio,
        drift,
        floor,
        band,
        drift_p,
        noise.paired,
        noise.left_out,
        noise.note,
        threshold,
    )


def find_pairs(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """Return which groups can be compared one by one; None where too few can.

    A group in which a version lost an image or a token is not the same group in both.

    Args:
        a: ``[groups]``: tokens of each in the baseline.
        b: Those in the version.
    """
    if a.shape != b.shape:
        return None
    equal = (a == b) & (a > 0)
    number = int(equal.sum())
    return equal if number >= 2 and 2 * number >= int(((a > 0) | (b > 0)).sum()) else None


def compare_stacks(
    a: GroupStats,
    b: GroupStats,
    *,
    same_images: bool,
    resolution: float = RESOLUTION,
    separate: Separate = ALL_SEPARATE,
    note: str = TOO_FEW_GROUPS,
    tested: bool = True,
) -> CellNoise:
    """Compare two versions in several cells; nothing is flagged yet.

    Args:
        a: The groups of the baseline, ``[cells, groups]``. The same groups hold tokens, and agree
            with those of the version, in every cell.
        b: Those of the version; as many cells and channels.
        same_images: As in `compare_groups`.
        resolution: Likewise.
        separate: Likewise.
        note: Likewise.
        tested: Whether to compute probabilities, which take most of the time; all NaN else.
    """
    pairs = find_pairs(a.count[0], b.count[0]) if same_images else None
    present_a, present_b = a.count[0] > 0, b.count[0] > 0
    shape = a.mean.shape[0], a.channels
    unknown = np.full(shape[:1], np.nan)
    if not present_a.any() or not present_b.any():
        effect = _untested(np.full(shape, np.nan))
        return CellNoise(
            effect, effect, unknown, unknown, unknown, unknown, pairs is not None, note=note
        )
    enough = min(present_a.sum(), present_b.sum()) >= 2
    left_out: tuple[int, ...] = ()
    if pairs is not None:
        left_out = tuple(np.flatnonzero((present_a | present_b) & ~pairs).tolist())
        present_a = present_b = pairs
    whole_a, whole_b = _choose(a, present_a), _choose(b, present_b)
    (mean_a, std_a), (mean_b, std_b) = whole_a.pool(), whole_b.pool()
    drift, usable = measure_drift(mean_a, std_a, mean_b, std_b)
    variance = np.maximum((std_a**2 + std_b**2) / 2, TINY_VARIANCE)
    pooled = np.sqrt(variance)
    if not enough:
        floor = np.sqrt(TINY_VARIANCE)
        ratio = np.log(np.maximum(std_b, floor) / np.maximum(std_a, floor))
        shift, log_ratio = _untested((mean_b - mean_a) / pooled), _untested(ratio)
        return CellNoise(
            shift, log_ratio, drift, unknown, unknown, unknown, pairs is not None, note=note
        )

    whole_a, whole_b = whole_a.merge(separate[0]), whole_b.merge(separate[1])
    scale, paired = pooled[:, None], pairs is not None
    few_a, few_b = whole_a.merge(SPREAD_GROUPS), whole_b.merge(SPREAD_GROUPS)
    logs = few_a.log_std_values, few_b.log_std_values
    ratios = _samples(few_a, few_b, *logs, paired)
    few_shifts = _samples(few_a, few_b, few_a.mean / scale, few_b.mean / scale, paired)
    channels = np.maximum(usable.sum(axis=-1), 1)
    both = [
        Sample(np.concatenate([x.values, y.values], axis=-1) * _twice(usable)[:, None], x.weights)
        for x, y in zip(few_shifts, ratios, strict=True)
    ]
    total, upper = bound_length(both)
    alone = usable.any(axis=-1)
    noise_floor, noise_band = (
        np.where(alone, np.sqrt(square / channels), np.nan) for square in (total, upper)
    )
    if not tested:
        effect = _untested(np.full(shape, np.nan))
        return CellNoise(effect, effect, drift, noise_floor, noise_band, unknown, paired, left_out)
    shifts = _samples(whole_a, whole_b, whole_a.mean / scale, whole_b.mean / scale, paired)
    certainty = _count_certainty(ratios)
    repeatable = resolution * np.sqrt((mean_a**2 + mean_b**2) / 2 + variance) / pooled
    return CellNoise(
        _test(shifts, repeatable, certainty),
        _test(ratios, repeatable),
        drift,
        noise_floor,
        noise_band,
        np.where(alone, rotate_length(both, 2 * np.sum(repeatable**2 * usable, axis=-1)), np.nan),
        pairs is not None,
        left_out,
    )


def _choose(groups: GroupStats, which: NDArray[np.bool_]) -> GroupStats:
    if which.all():
        return groups
    return GroupStats(groups.count[:, which], groups.mean[:, which], groups.std[:, which])


def _twice(usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.concatenate([usable, usable], axis=-1)


def _samples(
    a: GroupStats,
    b: GroupStats,
    values_a: Floats,
    values_b: Floats,
    paired: bool,
) -> list[Sample]:
    """Return independent samples whose means add up to the difference."""
    if paired:
        return [Sample(values_b - values_a, a.count.astype(np.float64))]
    return [
        Sample(-values_a, a.count.astype(np.float64)),
        Sample(values_b, b.count.astype(np.float64)),
    ]


def _count_certainty(ratios: list[Sample]) -> Floats | None:
    """Return the degrees of freedom behind the pooled std that a shift is divided by, ``[cells]``.

    The variance of a shift and its unit are of the same images where the versions are not paired:
    in this unit the variances of all channels seem alike, whatever they are. Paired differences
    vary apart from the unit, so there it does not matter: None.

    A std of f degrees of freedom has a log of variance 1 / 2f; the variance of the average of both
    logs is taken over groups, as the median of the channels.
    """
    if len(ratios) == 1:
        return None
    samples = [Sample(ratio.values / 2, ratio.weights) for ratio in ratios]
    variance = np.asarray(sum(np.median(sample.variance, axis=-1) for sample in samples))
    return 1 / np.maximum(2 * variance, 1e-12)


def _test(samples: list[Sample], repeatable: Floats, certainty: Floats | None = None) -> Effect:
    """Test a difference by moderated t.

    Args:
        samples: Whose means add up to it.
        repeatable: ``[cells, channels]``: how far rounding may move it.
        certainty: ``[cells]``: degrees of freedom behind its unit; the unit is exact where None.
    """
    value, variance, doubt = (np.zeros_like(repeatable) for _unused in range(3))
    for sample in samples:
        moderated, df = moderate_variances(sample.variance, sample.df)
        scale = np.sqrt(np.where(moderated > 0, moderated, np.inf))[:, None]
        # Channels that vary together know no more about their variance than one of them does.
        independent = count_independent(sample.residuals / scale)
        df = np.minimum(df, sample.df * independent[:, None])
        value += sample.mean
        variance += moderated
        doubt += moderated**2 / df
    df = np.divide(variance**2, doubt, out=np.ones_like(doubt), where=doubt > 0)  # Welch 1947
    if certainty is not None:
        df = 1 / (1 / df + 1 / certainty[:, None])
    error = np.sqrt(variance + repeatable**2)
    t = np.divide(value, error, out=np.where(value == 0, 0.0, np.inf), where=error > 0)
    return Effect(value, error, two_sided_t(t, df))


def _untested(value: Floats) -> Effect:
    unknown = np.full_like(value, np.nan)
    return Effect(value, unknown, unknown)
