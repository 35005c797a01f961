"""Which backbone of a file is measured, where a training run saved several in one.

Order: the teacher, an average of the weights (EMA, SWA), plain names, the student, the raw weights
beside an average, a gram teacher. Only those of the size that is asked for count, where there are
any. `--weights-key` takes another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.collect.backbone.names import name_some
from analysis.collect.backbone.variants import Variant
from analysis.collect.backbone.weights_formats import WeightsFormat, describe_sizes
from analysis.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

TOP_LEVEL = "."
"""The key of a backbone whose names have no prefix."""
ORDER = "teacher, EMA, plain, student, gram teacher"
_RANKS = (
    (re.compile(r"gram|anchor"), 4),
    (re.compile(r"teacher"), 0),
    (re.compile(r"(?:^|[._])(?:ema|swa|shadow|averaged?|momentum)\d*(?:[._]|$)"), 1),
    (re.compile(r"student|current_model_state"), 3),
)
_PLAIN = 2


@dataclass(frozen=True)
class Candidate:
    """One backbone of a file."""

    format: WeightsFormat
    prefix: str
    """What stands before its names, the keys of nested dicts included; ends with a dot."""
    tensors: dict[str, Tensor]
    """Its tensors and those of heads that are its attributes, without the prefix."""

    @property
    def label(self) -> str:
        """Return the prefix for a message."""
        return self.prefix.rstrip(".") or "the top level"

    @property
    def rank(self) -> int:
        """Return its place in the order; the lowest is measured."""
        return rank_prefix(self.prefix)


def rank_prefix(prefix: str) -> int:
    """Return the place of a prefix in the order; the lowest is measured."""
    name = prefix.lower()
    return next((rank for pattern, rank in _RANKS if pattern.search(name)), _PLAIN)


def build_candidates(
    tensors: Mapping[str, Tensor], found: Sequence[tuple[WeightsFormat, str]]
) -> list[Candidate]:
    """Give every backbone the tensors under its prefix that belong to no other."""
    prefixes = {prefix for _, prefix in found}
    candidates = []
    for weights_format, prefix in found:
        others = tuple(other for other in prefixes if other != prefix and other.startswith(prefix))
        own = {
            weights_format.spell(name.removeprefix(prefix)): tensor
            for name, tensor in tensors.items()
            if name.startswith(prefix) and not (others and name.startswith(others))
        }
        candidates.append(Candidate(weights_format, prefix, own))
    return candidates


def choose_candidate(
    path: str, candidates: Sequence[Candidate], variant: Variant, key: str | None
) -> tuple[Candidate, tuple[str, ...]]:
    """Choose one backbone of a file.

    Args:
        path: The file, for messages.
        candidates: At least one.
        variant: What is to be measured.
        key: `--weights-key`: keys and name parts, joined by dots, that lead to one; "." is the
            top level. None for the order of this module.

    Returns:
        The one to measure, and a sentence where there was a choice.

    Raises:
        CheckpointError: If no backbone is under the key, or several unlike ones come first.
    """
    labels = name_some([candidate.label for candidate in candidates])
    if key is not None:
        exact = [candidate for candidate in candidates if candidate.prefix == f"{key}."]
        candidates = exact or [item for item in candidates if _is_under(item.prefix, key)]
        if not candidates:
            raise CheckpointError(
                f"{path}: no backbone under {key!r} (--weights-key). This file holds: {labels}."
            )
    fitting = [c for c in candidates if describe_sizes(c.format, c.tensors)[0] == variant.name]
    fitting = fitting or list(candidates)
    best = min(candidate.rank for candidate in fitting)
    first, *rest = [candidate for candidate in fitting if candidate.rank == best]
    if any(not _is_same(first, other) for other in rest):
        raise CheckpointError(
            f"{path}: this file holds {1 + len(rest)} backbones of equal standing: "
            f"{name_some([candidate.label for candidate in (first, *rest)])}. Choose one with "
            "--weights-key."
        )
    if len(candidates) == 1:
        return first, ()
    return first, (
        f"{path}: this file holds several backbones ({labels}); {first.label} is measured "
        f"(order: {ORDER}). --weights-key chooses another.",
    )


def _is_under(prefix: str, key: str) -> bool:
    if key.strip(TOP_LEVEL) == "":
        return prefix == ""
    return f".{key.strip('.')}." in f".{prefix}"


def _is_same(a: Candidate, b: Candidate) -> bool:
    """Tell whether two names stand for one network, as a module that is registered twice."""
    return a.tensors.keys() == b.tensors.keys() and all(
        tensor.shape == b.tensors[name].shape and tensor.equal(b.tensors[name])
        for name, tensor in a.tensors.items()
    )
