"""Sanity laws that every payload must obey, whoever made it.

They catch a wrong LayerNorm, dropped or doubled tokens, a truncated file and invented numbers.
A law that cannot be checked, because the payload does not record what it needs, says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.language import N_, _
from analysis.payload.table import StatsTable
from analysis.vocabulary import (
    LAYER_NORM_EPS,
    REPRESENTATIONS,
    ROLES,
    STATISTICS,
    Representation,
    TokenRole,
)

PATCH_SIZE = 16
"""Pixels per side of a patch, in every released backbone."""

MOMENT_TOLERANCE = 1e-3
ROUNDING = 1e-5
"""Relative rounding of float32 statistics, with room for the sums behind them."""

STD_FLOOR = 1e-4
"""Some tools add 1e-8 to the variance; a dead channel then has a std above its maximum of 0."""


@dataclass(frozen=True)
class Check:
    """One law and what was found."""

    name: str
    ok: bool | None
    """None where it cannot be checked; the sentence says why."""
    number: float | None
    """What was measured."""
    expectation: str
    """What it should be."""
    sentence: str
    """The outcome in words, naming the place of the worst violation."""


def run_checks(table: StatsTable) -> list[Check]:
    """Check every law on one payload; takes about 0.1 s at 40 layers of 4096 channels."""
    finite = _check_finite(table)
    if not finite.ok:
        return [finite]
    laws: list[Callable[[StatsTable], Check]] = [
        _check_second_moment,
        _check_channel_average,
        _check_cls_count,
        _check_patch_count,
        _check_mean_below_maximum,
        _check_square_below_maximum,
        _check_layers_differ,
        _check_tokens_finite,
        _check_adapter,
    ]
    return [finite, *(law(table) for law in laws)]


def expected_second_moment(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return what a LayerNorm without affine leaves of the second moment, ``[...]``.

    A token of variance v over its channels leaves it with v / (v + eps). Tokens are not kept, so v
    is their average variance, estimated as mean(μ² + σ²) - mean(μ)² over channels; the function
    is concave, so the truth is at most this.

    Args:
        values: Statistics of the block output, ``[..., 3, channels]``: mean, std, max_abs.
    """
    mean, std, _unused = np.moveaxis(np.asarray(values, dtype=np.float64), -2, 0)
    variance = np.mean(mean**2 + std**2, axis=-1) - np.mean(mean, axis=-1) ** 2
    return variance / (variance + LAYER_NORM_EPS)


def _check_finite(table: StatsTable) -> Check:
    bad = ~np.isfinite(table.values) | (table.values < 0)
    bad[:, :, :, 0] = ~np.isfinite(table.values[:, :, :, 0])  # only means may be negative
    number = int(bad.sum())
    sentence = _("Every statistic is a finite number, and no std or max |x| is negative.")
    if number:
        place = _name_cell(table, np.argwhere(bad)[0])
        sentence = _("{number} values are NaN, infinite or negative, the first at {place}.").format(
            number=number, place=place
        )
    return Check(_("finite statistics"), number == 0, float(number), _("0 bad values"), sentence)


def _check_second_moment(table: StatsTable) -> Check:
    pre, normed = (table.values[:, r.position] for r in _PRE_AND_LN)
    mean, std, _unused = np.moveaxis(normed.astype(np.float64), -2, 0)
    second = np.mean(mean**2 + std**2, axis=-1)
    expected = expected_second_moment(pre)
    # Below 1 by more than eps explains, or above what concavity allows.
    tolerance = MOMENT_TOLERANCE + (1 - expected) * (second < expected)
    excess = np.abs(second - expected) - tolerance
    worst = np.unravel_index(np.argmax(excess), excess.shape)
    ok = bool((excess <= 0).all())
    number = float(second[worst])
    place = _("layer {layers}, {worst_2}").format(
        layers=table.layers[worst[0]], worst_2=ROLES[worst[1]]
    )
    sentence = _(
        "Mean square of per_layer_ln over channels: {number:.5f} where it "
        "is furthest from {expected:.5f} ({place})."
    ).format(number=number, expected=float(expected[worst]), place=place)
    if not ok:
        sentence += _(" A LayerNorm without affine cannot give this: was another norm measured?")
    return Check(_("LayerNorm second moment"), ok, number, _("1, or var / (var + 1e-5)"), sentence)


def _check_channel_average(table: StatsTable) -> Check:
    index = Representation.PER_LAYER_LN.position
    average = table.values[:, index, :, 0].mean(axis=-1, dtype=np.float64)
    worst = np.unravel_index(np.argmax(np.abs(average)), average.shape)
    number = float(average[worst])
    ok = abs(number) <= MOMENT_TOLERANCE
    sentence = _(
        "The means of per_layer_ln average to {number:.1e} over channels "
        "at the most (layer {layers}, {worst_2})."
    ).format(number=number, layers=table.layers[worst[0]], worst_2=ROLES[worst[1]])
    if not ok:
        sentence += _(" A LayerNorm without affine centres every token.")
    return Check(_("LayerNorm centring"), ok, number, "0", sentence)


def _check_cls_count(table: StatsTable) -> Check:
    counts = table.counts[:, TokenRole.CLS.position]
    return _check_count(
        table,
        _("CLS count"),
        counts,
        table.num_images,
        _("{num_images} images × 1").format(num_images=table.num_images),
    )


def _check_patch_count(table: StatsTable) -> Check:
    counts = table.counts[:, TokenRole.PATCH.position]
    size = table.run.get("network_size")
    if isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size):
        columns, rows = (side // PATCH_SIZE for side in size)
        return _check_count(
            table,
            _("patch count"),
            counts,
            table.num_images * rows * columns,
            _("{num_images} images × {rows} × {columns} patches").format(
                num_images=table.num_images, rows=rows, columns=columns
            ),
        )
    images, worst = table.num_images, int(counts.min())
    whole = bool((counts == counts[0]).all()) and images > 0 and int(counts[0]) % images == 0
    sentence = _(
        "{worst} patch tokens of {images} images; the payload does not "
        "record the size that the network saw, so only whole numbers of "
        "patches per image can be checked."
    ).format(worst=worst, images=images)
    ok = None if whole else False
    return Check(
        _("patch count"), ok, float(worst), _("the same for every image and layer"), sentence
    )


def _check_count(
    table: StatsTable, name: str, counts: NDArray[np.int64], expected: int, product: str
) -> Check:
    wrong = np.flatnonzero(counts != expected)
    left_out = _read_numbers(table, "nonfinite_tokens")
    explained = len(wrong) > 0 and all(
        0 < expected - counts[i] <= left_out[i] for i in wrong if i < len(left_out)
    )
    if not len(wrong):
        sentence = _("{expected} tokens in every layer: {product}.").format(
            expected=expected, product=product
        )
        return Check(name, True, float(expected), product, sentence)
    first = int(wrong[0])
    number = int(counts[first])
    sentence = _(
        "{number} tokens at layer {layers} instead of {expected} "
        "({product}), and {count} of {num_layers} layers differ."
    ).format(
        number=number,
        layers=table.layers[first],
        expected=expected,
        product=product,
        count=len(wrong),
        num_layers=table.num_layers,
    )
    if explained and left_out:
        sentence += _(" Tokens with NaN or infinite values were left out.")
    return Check(name, False, float(number), product, sentence)


def _check_mean_below_maximum(table: StatsTable) -> Check:
    mean, _unused, max_abs = np.moveaxis(table.values, 3, 0)
    return _check_ratio(
        table,
        np.abs(mean).astype(np.float64),
        max_abs,
        _("|mean| <= max |x|"),
        _("The size of the mean"),
    )


def _check_square_below_maximum(table: StatsTable) -> Check:
    mean, std, max_abs = np.moveaxis(table.values.astype(np.float64), 3, 0)
    return _check_ratio(
        table,
        np.hypot(mean, std),
        max_abs,
        _("mean² + std² <= max |x|²"),
        _("The root mean square"),
    )


def _check_ratio(
    table: StatsTable,
    smaller: NDArray[np.float64],
    max_abs: NDArray[np.floating[Any]],
    name: str,
    subject: str,
) -> Check:
    excess = smaller - max_abs * (1 + ROUNDING) - STD_FLOOR
    bad = excess > 0
    ratio = np.divide(smaller, max_abs, out=np.zeros_like(smaller), where=max_abs > STD_FLOOR)
    at = np.unravel_index(np.argmax(excess if bad.any() else ratio), ratio.shape)
    i, j, k, channel = (int(index) for index in at)
    number = float(ratio[at]) if max_abs[at] > STD_FLOOR else float(smaller[at] > STD_FLOOR)
    place = _("layer {layers}, {j}, {k}, channel {channel}").format(
        layers=table.layers[i], j=REPRESENTATIONS[j], k=ROLES[k], channel=channel
    )
    sentence = _("{subject} is at most {number:.4f} of max |x| ({place}).").format(
        subject=subject, number=number, place=place
    )
    if bad.any():
        sentence = _(
            "{subject} is {smaller:.5g} but max |x| only {max_abs:.5g} at "
            "{place}, and {bad_sum} values break this law: they cannot belong "
            "together."
        ).format(
            subject=subject,
            smaller=float(smaller[at]),
            max_abs=float(max_abs[at]),
            place=place,
            bad_sum=int(bad.sum()),
        )
    return Check(name, not bad.any(), number, _("a share of 1 or less"), sentence)


def _check_layers_differ(table: StatsTable) -> Check:
    output = table.values[:, Representation.PRE.position].reshape(table.num_layers, -1)
    same = [i for i in range(1, len(output)) if np.array_equal(output[i - 1], output[i])]
    sentence = _("Every block changes what it is given.")
    if same and output.any():
        before, after = table.layers[same[0] - 1], table.layers[same[0]]
        sentence = _("Layers {before} and {after} hold the same numbers: was one copied?").format(
            before=before, after=after
        )
        return Check(_("layers differ"), False, float(len(same)), _("0 equal neighbours"), sentence)
    return Check(_("layers differ"), True, 0.0, _("0 equal neighbours"), sentence)


def _check_tokens_finite(table: StatsTable) -> Check:
    name, expectation = _("finite tokens"), _("0 tokens left out")
    if "nonfinite_tokens" not in table.run:
        return Check(name, None, None, expectation, _("Not recorded by the tool that measured."))
    left_out = _read_numbers(table, "nonfinite_tokens")
    total = int(sum(left_out))
    sentence = _("No token held a NaN or infinite value.")
    if total:
        first = next(layer for layer, number in enumerate(left_out) if number)
        sentence = _(
            "{total} tokens held a NaN or infinite value and were left out, "
            "from layer {first} on: the network overflows there. Measure with "
            "--precision fp32."
        ).format(total=total, first=first)
    return Check(name, total == 0, float(total), expectation, sentence)


def _check_adapter(table: StatsTable) -> Check:
    name, expectation = N_("adapter"), _("changes the output of some layer")
    backbone, proof = table.backbone, _read_numbers(table, "lora_proof")
    if backbone.get("lora_error"):
        sentence = _(
            "The adapter could not be loaded, so this is the frozen backbone: {lora_error}"
        ).format(lora_error=str(backbone["lora_error"])[:500])
        return Check(name, False, None, expectation, sentence)
    if not backbone.get("used_lora"):
        return Check(
            name, None, None, expectation, _("No adapter: the frozen backbone was measured.")
        )
    if not proof:
        return Check(name, None, None, expectation, _("Its effect was not recorded."))
    largest = max(proof)
    sentence = _("The adapter changes a layer's output by up to {largest:.2%}.").format(
        largest=largest
    )
    if largest == 0:
        sentence = _("The adapter was loaded but changes no layer: it is untrained, or all zero.")
    return Check(name, largest > 0, largest, expectation, sentence)


_PRE_AND_LN = (Representation.PRE, Representation.PER_LAYER_LN)


def _read_numbers(table: StatsTable, key: str) -> list[float]:
    """Return a list of numbers from `meta["run"]`; what is no number is left out."""
    values = table.run.get(key)
    chosen = values if isinstance(values, list) else []
    return [float(value) for value in chosen if isinstance(value, int | float)]


def _name_cell(table: StatsTable, index: NDArray[np.int64]) -> str:
    i, j, k, m, channel = (int(part) for part in index)
    return _("layer {layers}, {j}, {k}, {m}, channel {channel}").format(
        layers=table.layers[i], j=REPRESENTATIONS[j], k=ROLES[k], m=STATISTICS[m], channel=channel
    )
