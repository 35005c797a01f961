"""What a comparison found, in one to three sentences, none more certain than its numbers.

Size comes first, significance after it: a difference that is measurable may be negligible. The
size is that of the drift freed of what chance adds.
Drift is spoken of only where it exceeds the noise, and said to concentrate only where the layers
outside, their noise included, hold little. Being an outlier is counted, never tested: it rests on
max |x|. Each sentence says which figure shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.language import N_, Texts, _, ngettext
from analysis.read.compare.noise_table import NoiseTable
from analysis.read.compare.outlier_change import OutlierChange
from analysis.read.digits import show_digits
from analysis.vocabulary import ROLES, Representation, TokenRole

CONCENTRATED = 0.8
"""Share of the squared drift that the layers named must hold for it to concentrate in them."""
FEW_LAYERS = 0.5
"""Share of all layers that they may be at most."""
_NAMED_CHANNELS = 5

NEGLIGIBLE = 0.01
"""Standard deviations below which a drift, or the change of a channel, is negligible."""

Scale = Sequence[tuple[float, str]]
_WORDS = (
    (0.2, N_("very small")),
    (0.5, N_("small")),
    (0.8, N_("medium")),
    (np.inf, N_("large")),
)


def make_scale(negligible: float = NEGLIGIBLE) -> Scale:
    """Return words for drifts below each bound, in standard deviations.

    The bounds are those of Sawilowsky 2009 (New effect size rules of thumb), which are meant for
    the difference of two means.

    >>> [word for _, word in make_scale(0.3)]
    ['measurable, negligible', 'small', 'medium', 'large']
    """
    return (
        (negligible, N_("measurable, negligible")),
        *(each for each in _WORDS if each[0] > negligible),
    )


SCALE: Scale = make_scale()

OTHER_IMAGES = N_("On different images, so that all of it may come from them: ")

_SUBJECTS = Texts({TokenRole.CLS: N_("the CLS token"), TokenRole.PATCH: N_("patch tokens")})


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
    peak: int | None = None
    """The layer that the sentence says changed most; None where it names none."""


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
    return _(OTHER_IMAGES) + sentence[0].lower() + sentence[1:]


def name_size(drift: float, scale: Scale = SCALE) -> str:
    """Return the word for a drift.

    >>> name_size(0.001), name_size(0.3)
    ('measurable, negligible', 'small')
    """
    return _(next(word for bound, word in scale if drift < bound))


def _describe_drift(
    noise: NoiseTable, representation: Representation, scale: Scale
) -> list[Finding]:
    column = representation.position
    known = np.isfinite(noise.drift[:, column])  # not where every channel is constant
    tested = ~np.isnan(noise.drift_p[:, column]) & known
    if not tested.any():
        why = " ".join(noise.notes) or _("The noise of this comparison is not known.")
        return [Finding(why, "drift", representation, ROLES, ())]
    if not noise.drift[:, column][tested].any():
        same = _("The versions do not differ at all: every mean and std is the same.")
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
        subject = _start(_(" and ").join(_SUBJECTS[role] for role in quiet))
        one = quiet == [TokenRole.CLS]
        template = ngettext(
            "{subject} is within noise{of_tested}.",
            "{subject} are within noise{of_tested}.",
            1 if one else 2,
        )
        sentence = template.format(
            subject=subject, of_tested=_of_tested(tested[:, quiet[0].position])
        )
        findings.append(Finding(sentence, "drift", representation, tuple(quiet), ()))
    return findings


def _describe_role(
    noise: NoiseTable, representation: Representation, role: TokenRole, scale: Scale
) -> Finding:
    cell = slice(None), representation.position, role.position
    drift, floor, excess = noise.drift[cell], noise.noise_floor[cell], noise.excess[cell]
    beyond = noise.beyond[cell] & np.isfinite(drift)
    peak = int(np.argmax(np.where(beyond, excess, -1.0)))
    flagged = int(noise.flagged_channels[cell][peak])
    channels = ngettext(
        "{flagged:,} channel flagged", "{flagged:,} channels flagged", flagged
    ).format(flagged=flagged)
    if not flagged:
        channels = _("as a whole, no single channel stands out")
    concentration = _find_concentration(drift, floor, beyond)
    if concentration is not None:
        run, share = concentration
        named = noise.layers[run]
        where = _("concentrates in {layers}").format(layers=name_layers(named))
        end = _("; at least {share}% of the squared drift").format(share=min(int(100 * share), 99))
    else:
        named = noise.layers[beyond]
        everywhere = _("every layer") if beyond.all() else name_layers(named)
        where, end = _("more than noise in {everywhere}").format(everywhere=everywhere), ""
    most = ""
    if len(named) > 1:
        most = _(", largest in layer {layers}").format(layers=noise.layers[peak])
    sentence = _(
        "{start}: drift {excess} of a standard deviation, {size}; "
        "{where}{most} ({drift} with its noise of {floor}, {channels}{end})."
    ).format(
        start=_start(_SUBJECTS[role]),
        excess=show_digits(excess[peak], 2),
        size=name_size(float(excess[peak]), scale),
        where=where,
        most=most,
        drift=show_digits(drift[peak], 2),
        floor=show_digits(floor[peak], 2),
        channels=channels,
        end=end,
    )
    return Finding(
        sentence, "drift", representation, (role,), tuple(named.tolist()), int(noise.layers[peak])
    )


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
        sentence = _("The same channels are outliers of both versions in every layer.")
        return [Finding(sentence, "outliers", representation, ROLES, ())]
    roles = [role for role in reversed(ROLES) if changed[:, role.position].any()]
    clauses = [_describe_changes(noise, outliers, role) for role in roles]
    sentence = _(
        "Outlier channels of {names_2} against {names_1}: {clauses}. By "
        "max |x|, which is not tested for noise."
    ).format(names_2=names[1], names_1=names[0], clauses=_("; ").join(clauses))
    layers = tuple(noise.layers[changed.any(axis=1)].tolist())
    peak = int(noise.layers[outliers.peak(roles[0])])
    return [Finding(sentence, "outliers", representation, tuple(roles), layers, peak)]


def _describe_changes(noise: NoiseTable, outliers: OutlierChange, role: TokenRole) -> str:
    changed = outliers.changed[:, role.position]
    peak = outliers.peak(role)
    a, b = (mask[peak, role.position] for mask in (outliers.a, outliers.b))
    parts = [
        _("{count} {word} ({named})").format(count=mask.sum(), named=_name(mask), word=word)
        for word, mask in ((_("new"), b & ~a), (_("gone"), a & ~b))
        if mask.any()
    ]
    number = int(changed.sum())
    others = _("different in {number} of {count} layers for {role}, most in ").format(
        number=number, count=len(changed), role=_SUBJECTS[role]
    )
    if number == 1:
        others = _("different for {role} only in ").format(role=_SUBJECTS[role])
    clause = _("{others}layer {layers}: {parts}").format(
        others=others, layers=noise.layers[peak], parts=_(" and ").join(parts)
    )
    turnover = outliers.turnover.get(role)
    if turnover is None:
        return clause
    low, high = turnover.by_chance
    chance = (
        ""
        if low is None
        else _(" (by chance {low})").format(low=low)
        if low == high
        else _(" (by chance {low} to {high})").format(low=low, high=high)
    )
    return _("{clause}; of its {k} largest by root mean square, new: {new}{chance}").format(
        clause=clause, k=turnover.k, new=turnover.new, chance=chance
    )


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
    return ngettext("layer {numbers}", "layers {numbers}", len(numbers)).format(
        numbers=_(", ").join(words)
    )


def _name(channels: NDArray[np.bool_]) -> str:
    numbers = [str(number) for number in np.flatnonzero(channels)]
    more = ["…"] if len(numbers) > _NAMED_CHANNELS else []
    return _(", ").join(numbers[:_NAMED_CHANNELS] + more)


def _of_tested(tested: NDArray[np.bool_]) -> str:
    if tested.all():
        return ""
    return _(" in the {tested_sum} of {count} layers whose noise is known").format(
        tested_sum=int(tested.sum()), count=len(tested)
    )


def _start(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
