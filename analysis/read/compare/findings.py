"""What a comparison found, in one to three sentences, none more certain than its numbers.

Size comes first, significance after it: a difference that is measurable may be negligible.
Drift is spoken of only where it exceeds the noise, and said to concentrate only where the layers
outside, their noise included, hold little. Being an outlier is counted, never tested: it rests on
max |x|. Each sentence says which figure shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.read.compare.noise_table import NoiseTable
from analysis.read.compare.outlier_change import OutlierChange
from analysis.vocabulary import ROLES, Representation, TokenRole

CONCENTRATED = 0.8
"""Share of the squared drift that the layers named must hold for it to concentrate in them."""
FEW_LAYERS = 0.5
"""Share of all layers that they may be at most."""
_NAMED_CHANNELS = 5

Scale = Sequence[tuple[float, str]]
SCALE: Scale = (
    (0.01, "measurable, negligible"),
    (0.2, "very small"),
    (0.5, "small"),
    (0.8, "medium"),
    (np.inf, "large"),
)
"""Words for drifts below each bound, in standard deviations (Sawilowsky 2009, New effect size rules
of thumb, whose bounds are for the difference of two means)."""

OTHER_IMAGES = "On different images, so that all of it may come from them: "

_SUBJECTS = {TokenRole.CLS: "the CLS token", TokenRole.PATCH: "patch tokens"}


@dataclass(frozen=True)
class Finding:
    """One sentence and where it can be seen."""

    sentence: str
    figure: str
    """`drift` or `outliers`."""
    representation: Representation
    roles: tuple[TokenRole, ...]
    layers: tuple[int, ...]
    """The layers spoken of; empty where it is all."""


def describe_comparison(
    noise: NoiseTable,
    representation: Representation = Representation.PRE,
    outliers: OutlierChange | None = None,
    names: tuple[str, str] = ("A", "B"),
    *,
    scale: Scale = SCALE,
    common_images: bool = True,
) -> tuple[Finding, ...]:
    """Say what changed between two versions, and whether it is more than noise.

    Args:
        noise: The comparison; its layers are those of `outliers` too.
        representation: Of what to speak.
        outliers: Nothing is said of them where None.
        names: What the sentences call the versions; not to be rendered as HTML.
        scale: Words for drifts below each bound, ascending; the last bound is infinite.
        common_images: Whether any image was measured in both; every sentence says where not.
    """
    findings = list(_describe_drift(noise, representation, scale))
    if outliers is not None:
        findings += _describe_outliers(noise, representation, outliers, names)
    if not common_images:
        findings = [replace(each, sentence=_prefix(each.sentence)) for each in findings]
    return tuple(findings)


def _prefix(sentence: str) -> str:
    return OTHER_IMAGES + sentence[0].lower() + sentence[1:]


def name_size(drift: float, scale: Scale = SCALE) -> str:
    """Return the word for a drift.

    >>> name_size(0.001), name_size(0.3)
    ('measurable, negligible', 'small')
    """
    return next(word for bound, word in scale if drift < bound)


def _describe_drift(
    noise: NoiseTable, representation: Representation, scale: Scale
) -> list[Finding]:
    column = representation.position
    known = np.isfinite(noise.drift[:, column])  # not where every channel is constant
    tested = ~np.isnan(noise.drift_p[:, column]) & known
    if not tested.any():
        why = " ".join(noise.notes) or "The noise of this comparison is not known."
        return [Finding(why, "drift", representation, ROLES, ())]
    if not noise.drift[:, column][tested].any():
        same = "The versions do not differ at all: every mean and std is the same."
        return [Finding(same, "drift", representation, ROLES, ())]
    beyond = noise.beyond[:, column] & known
    # Patch tokens first: they are most of what the network computes.
    order = sorted(ROLES, key=lambda role: role is TokenRole.CLS)
    quiet = [r for r in order if tested[:, r.position].any() and not beyond[:, r.position].any()]
    findings = [
        _describe_role(noise, representation, role, scale)
        for role in order
        if beyond[:, role.position].any()
    ]
    if quiet:
        subject = _start(" and ".join(_SUBJECTS[role] for role in quiet))
        verb = "is" if quiet == [TokenRole.CLS] else "are"
        sentence = f"{subject} {verb} within noise{_of_tested(tested[:, quiet[0].position])}."
        findings.append(Finding(sentence, "drift", representation, tuple(quiet), ()))
    return findings


def _describe_role(
    noise: NoiseTable, representation: Representation, role: TokenRole, scale: Scale
) -> Finding:
    cell = slice(None), representation.position, role.position
    drift, floor = noise.drift[cell], noise.noise_floor[cell]
    beyond = noise.beyond[cell] & np.isfinite(drift)
    peak = int(np.argmax(np.where(beyond, drift, -1.0)))
    flagged = int(noise.flagged_channels[cell][peak])
    channels = f"{flagged} channels flagged" if flagged != 1 else "1 channel flagged"
    if not flagged:
        channels = "as a whole, no single channel stands out"
    concentration = _find_concentration(drift, floor, beyond)
    if concentration is not None:
        run, share = concentration
        named = noise.layers[run]
        where = f"concentrates in {name_layers(named)}"
        end = f"; {int(100 * share)} % of the squared drift or more"
    else:
        named = noise.layers[beyond]
        everywhere = "every layer" if beyond.all() else name_layers(named)
        where, end = f"more than noise in {everywhere}", ""
    most = f", most in layer {noise.layers[peak]}" if len(named) > 1 else ""
    size = name_size(float(noise.excess[cell][peak]), scale)
    sentence = (
        f"{_start(_SUBJECTS[role])}: drift {drift[peak]:.2g} of a standard deviation, {size}; "
        f"{where}{most} (noise floor {floor[peak]:.2g}, {channels}{end})."
    )
    return Finding(sentence, "drift", representation, (role,), tuple(named.tolist()))


def _find_concentration(
    drift: NDArray[np.float64], floor: NDArray[np.float64], beyond: NDArray[np.bool_]
) -> tuple[slice, float] | None:
    """Return the shortest run of layers that holds most of the squared drift, and its share.

    Only what exceeds the floor counts inside the run, but everything counts outside.
    """
    inside = np.where(beyond, np.maximum(drift**2 - floor**2, 0), 0)
    outside = np.nan_to_num(drift**2)
    for length in range(1, int(len(drift) * FEW_LAYERS) + 1):
        runs = [slice(i, i + length) for i in range(len(drift) - length + 1)]
        sums = np.array([inside[run].sum() for run in runs])
        rest = np.array([outside.sum() - outside[run].sum() for run in runs])
        best = int(np.argmax(sums))
        if sums[best] == 0:
            return None
        share = float(sums[best] / (sums[best] + rest[best]))
        if share >= CONCENTRATED:
            return (runs[best], share) if beyond[runs[best]].all() else None
    return None


def _describe_outliers(
    noise: NoiseTable,
    representation: Representation,
    outliers: OutlierChange,
    names: tuple[str, str],
) -> list[Finding]:
    """Compare the outliers layer by layer: other channels in one layer may be those of another."""
    changed = outliers.changed  # [layers, 2]
    if not (outliers.a.any() or outliers.b.any()):
        return []
    if not changed.any():
        sentence = "The same channels are outliers of both versions in every layer."
        return [Finding(sentence, "outliers", representation, ROLES, ())]
    roles = [role for role in reversed(ROLES) if changed[:, role.position].any()]
    clauses = [_describe_changes(noise, outliers, role) for role in roles]
    sentence = (
        f"Outlier channels of {names[1]} against {names[0]}: {'; '.join(clauses)} (by max |x|, "
        "which is not tested for noise)."
    )
    layers = tuple(noise.layers[changed.any(axis=1)].tolist())
    return [Finding(sentence, "outliers", representation, tuple(roles), layers)]


def _describe_changes(noise: NoiseTable, outliers: OutlierChange, role: TokenRole) -> str:
    changed = outliers.changed[:, role.position]
    peak = outliers.peak(role)
    a, b = (mask[peak, role.position] for mask in (outliers.a, outliers.b))
    parts = [
        f"{_count(mask)} {word}" for word, mask in (("new", b & ~a), ("gone", a & ~b)) if mask.any()
    ]
    number = int(changed.sum())
    others = f"others in {number} of {len(changed)} layers for {_SUBJECTS[role]}, most in "
    if number == 1:
        others = f"others for {_SUBJECTS[role]} only in "
    clause = f"{others}layer {noise.layers[peak]}: {' and '.join(parts)}"
    turnover = outliers.turnover.get(role)
    if turnover is None:
        return clause
    low, high = turnover.by_chance
    chance = (
        "" if low is None else f", chance {low}" if low == high else f", chance {low} to {high}"
    )
    return f"{clause}; of its {turnover.k} largest by root mean square, new {turnover.new}{chance}"


def name_layers(layers: Sequence[int] | NDArray[np.int64]) -> str:
    """Return layer numbers in words, neighbours as a range.

    >>> name_layers([3]), name_layers([1, 2, 3, 7])
    ('layer 3', 'layers 1-3, 7')
    """
    numbers = [int(layer) for layer in layers]
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    return f"layer{'s' if len(numbers) > 1 else ''} {', '.join(words)}"


def _count(channels: NDArray[np.bool_]) -> str:
    numbers = np.flatnonzero(channels)
    named = ", ".join(map(str, numbers[:_NAMED_CHANNELS]))
    return f"{len(numbers)} ({named}{', …' if len(numbers) > _NAMED_CHANNELS else ''})"


def _of_tested(tested: NDArray[np.bool_]) -> str:
    if tested.all():
        return ""
    return f" in the {int(tested.sum())} of {len(tested)} layers whose noise is known"


def _start(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
