"""Laws between the statistics of a payload and its extras, which say the same in two ways.

They catch a wrong γ or β, the shared norm applied twice, a maximum over part of the tokens, image
groups that do not make up the whole, and layers that are shifted or in another order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.errors import PayloadError
from analysis.language import _
from analysis.payload.extras import ExtraTable, Part
from analysis.payload.groups import GroupStats
from analysis.payload.reading import Reading
from analysis.payload.table import StatsTable
from analysis.read.checks import Check, run_checks
from analysis.vocabulary import (
    MEASURED,
    REPRESENTATIONS,
    ROLES,
    Cell,
    Representation,
    Statistic,
    TokenRole,
)

Floats = NDArray[np.float64]

TOLERANCE = 1e-4
"""Relative difference of numbers that follow from each other; rounding is below 1e-5."""


def check_reading(reading: Reading) -> list[Check]:
    """Check every law on a payload; those of extras only where it has some that can be read."""
    checks = run_checks(reading.table)
    finite = checks[0].ok
    try:
        extras = reading.extras
    except PayloadError:  # told where the extras are shown
        return checks
    return [*checks, *check_consistency(reading.table, extras)] if finite else checks


def check_consistency(table: StatsTable, extras: ExtraTable) -> list[Check]:
    """Check what extras and statistics say of each other; a law whose part is absent is left out.

    Args:
        table: All of it finite.
        extras: Of the same payload.
    """
    checks: list[Check] = []
    if extras.has(Part.NORM):
        checks.append(_check_shared_norm(table, extras))
    if extras.has(Part.GROUPS):
        checks.append(_check_groups(table, extras))
    if extras.has(Part.RANGE):
        checks.append(_check_range(table, extras))
    if extras.has(Part.EMBEDDING) and table.num_layers > 1 and table.layers[0] == 0:
        checks.append(_check_embedding(table, extras))
    return checks


def _check_shared_norm(table: StatsTable, extras: ExtraTable) -> Check:
    normed, shared = (
        table.values[:, each.position].astype(np.float64)
        for each in (Representation.PER_LAYER_LN, Representation.GLOBAL_LN)
    )
    errors = np.zeros((table.num_layers, len(REPRESENTATIONS), len(ROLES), table.channels))
    for role in ROLES:
        norm = extras.norm(role)
        if norm is None:
            continue
        gamma, beta = (values.astype(np.float64) for values in norm)
        (mean, std), (found_mean, found_std) = (
            np.moveaxis(values[:, role.position, :2], 1, 0) for values in (normed, shared)
        )
        scale = np.abs(gamma) * np.hypot(mean, std) + np.abs(beta)
        error = np.hypot(found_mean - (gamma * mean + beta), found_std - np.abs(gamma) * std)
        errors[:, Representation.GLOBAL_LN.position, role.position] = _divide(error, scale)
    return _judge(
        table,
        _("global LN follows from per-layer LN"),
        errors,
        _("mean = γ mean + β, std = |γ| std"),
        _("Was another γ or β applied, or the norm applied twice?"),
    )


def _check_groups(table: StatsTable, extras: ExtraTable) -> Check:
    errors = np.zeros((table.num_layers, len(REPRESENTATIONS), len(ROLES), table.channels))
    for place, layer in enumerate(table.layers.tolist()):
        for representation in MEASURED:
            for role in ROLES:
                groups = extras.groups(layer, representation, role)
                if groups is not None:
                    errors[place, representation.position, role.position] = _compare_groups(
                        table, layer, representation, groups, role.position
                    )
    return _judge(
        table,
        _("image groups make up the whole"),
        errors,
        _("the merged groups, counts too"),
        _("Groups and totals are of different tokens."),
    )


def _compare_groups(
    table: StatsTable, layer: int, representation: Representation, groups: GroupStats, role: int
) -> Floats:
    whole = int(table.counts[table.position(layer), role])
    if int(groups.count.sum()) != whole or whole == 0:
        return np.full(table.channels, abs(int(groups.count.sum()) / max(whole, 1) - 1))
    mean, std, _unused = table[Cell(layer, representation, ROLES[role])].astype(np.float64)
    pooled_mean, pooled_std = groups.present().pool()
    return _divide(np.hypot(pooled_mean - mean, pooled_std - std), np.hypot(mean, std))


def _check_range(table: StatsTable, extras: ExtraTable) -> Check:
    errors = np.zeros((table.num_layers, len(REPRESENTATIONS), len(ROLES), table.channels))
    for representation in REPRESENTATIONS:
        for role in ROLES:
            ends = extras.value_range(representation, role.value)
            if ends is None:
                continue
            largest = np.abs(ends).max(axis=1).astype(np.float64)
            found = table.over_depth(representation, role, Statistic.MAX_ABS)
            errors[:, representation.position, role.position] = _divide(
                np.abs(found - largest), largest
            )
    return _judge(
        table,
        _("max |x| is an end of the range"),
        errors,
        _("the larger of |min| and |max|"),
        _("One of the two is of a part of the tokens."),
    )


def _check_embedding(table: StatsTable, extras: ExtraTable) -> Check:
    """Compare the distances of the first and the last layer from the embedding.

    Blocks add to a residual stream, so the first output is near what it was made of, but not equal
    to it; and the CLS token is the same for every image until a block has mixed it with patches.
    """
    name, expectation = _("layer 0 follows the embedding"), _("more than 0 and less than 1")
    ratio, fault = 0.5, ""
    for role in ROLES:
        embedding = extras.embedding(role)
        if embedding is None:
            continue
        mean, std = embedding[:2].astype(np.float64)
        outputs = table.values[[0, -1], Representation.PRE.position, role.position, :2]
        near, far = np.linalg.norm(outputs - np.stack([mean, std]), axis=(1, 2)).tolist()
        found = near / far if far else 1.0
        if near == 0:
            fault = _("Was the input of each block measured instead of its output?")
        elif found >= 1:
            fault = _("Are the layers in another order?")
        elif role is TokenRole.CLS and _is_dinov3(table) and _varies(mean, std):
            fault = _("Its CLS token differs between images: was a block's output taken for it?")
        if abs(np.log(max(found, 1e-12))) > abs(np.log(ratio)) or fault:
            ratio = found
        if fault:
            break
    sentence = _(
        "Layer 0 is {ratio:.2g} times as far from the embedding as the last layer."
    ).format(ratio=ratio)
    return Check(name, not fault, ratio, expectation, f"{sentence} {fault}".rstrip())


def _is_dinov3(table: StatsTable) -> bool:
    return str(table.backbone.get("backbone_name", "")).startswith("dinov3")


def _varies(mean: Floats, std: Floats) -> bool:
    return bool((std > TOLERANCE * np.sqrt((mean**2).mean())).any())


def _divide(error: Floats, scale: Floats) -> Floats:
    """Divide; what is tiny beside the largest channel counts as rounding."""
    return error / np.maximum(scale, max(1e-6 * float(scale.max(initial=0)), 1e-12))


def _judge(table: StatsTable, name: str, errors: Floats, expectation: str, fault: str) -> Check:
    """Judge relative errors, ``[layers, 3, 2, channels]``."""
    worst = np.unravel_index(int(np.argmax(errors)), errors.shape)
    i, j, k, channel = (int(part) for part in worst)
    number = float(errors[worst])
    place = _("layer {layers}, {j}, {k}, channel {channel}").format(
        layers=table.layers[i], j=REPRESENTATIONS[j], k=ROLES[k], channel=channel
    )
    sentence = _("They differ by at most {number:.1e} of the value ({place}).").format(
        number=number, place=place
    )
    ok = number <= TOLERANCE
    return Check(name, ok, number, expectation, sentence if ok else f"{sentence} {fault}")
