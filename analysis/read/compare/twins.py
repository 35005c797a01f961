"""The frozen twin of a version: the same backbone on the same images, without the adapter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from analysis.payload.discovery import PayloadRef


def find_frozen_twin(ref: PayloadRef, refs: Sequence[PayloadRef]) -> PayloadRef | None:
    """Return the newest payload that differs from a version by its adapter only.

    Told from the JSON beside each payload: backbone, weights, image list, number of images and
    precision must be recorded and equal. What the configs say besides shows in their difference.

    Args:
        ref: The version.
        refs: Where to look, newest first.
    """
    wanted = _measured(ref)
    if None in wanted:
        return None
    twins = (
        other
        for other in refs
        if other.key != ref.key
        and other.facts.used_lora is False
        and other.facts.lora_error is None
        and _measured(other) == wanted
    )
    return next(twins, None)


def choose_counterpart(ref: PayloadRef, refs: Sequence[PayloadRef]) -> PayloadRef | None:
    """Return what a version is compared with where nobody chose: the likest, then the newest.

    A payload of another backbone comes last, since little of it can be compared.

    Args:
        ref: The version.
        refs: Where to look, newest first.
    """
    others = [other for other in refs if other.key != ref.key]
    return min(others, key=lambda other: _differences(ref, other), default=None)


def choose_baseline(refs: Sequence[PayloadRef]) -> PayloadRef | None:
    """Return what many versions are compared with where nobody chose.

    Of the payloads that were measured alike, in the largest such group: the newest frozen backbone,
    else the oldest version.

    Args:
        refs: Every payload, newest first.
    """
    alike = Counter(_measured(ref) for ref in refs)
    loaded = [ref for ref in refs if not ref.facts.lora_error] or list(refs)
    frozen = [ref for ref in loaded if ref.facts.used_lora is False]
    candidates = [*frozen, *reversed(loaded)]  # of equal ones the first is taken
    return max(candidates, key=lambda ref: alike[_measured(ref)], default=None)


def _measured(ref: PayloadRef) -> tuple[object, ...]:
    facts = ref.facts
    return (
        facts.backbone,
        facts.weights_sha256,
        facts.dataset_fingerprint,
        facts.num_images,
        facts.precision,
    )


def _differences(a: PayloadRef, b: PayloadRef) -> tuple[bool, int]:
    first, second = _measured(a), _measured(b)
    differ = [x != y or x is None for x, y in zip(first, second, strict=True)]
    return differ[0], sum(differ)
