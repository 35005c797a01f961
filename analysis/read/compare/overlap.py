"""How much two rankings of channels have in common, and how much they would have by chance.

Channels near the k-th place trade places on other images, so even two measurements of one version
share less than all of their top k. What they would share is found by swaps: half of A's image
groups together with the other half of B's, against the rest. Both sides then hold half of any
change between the versions, while their noise is that between A and B.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from analysis.payload.groups import GroupStats
from analysis.read.scores import find_top, jaccard, mean_over_std

Floats = NDArray[np.float64]


class RankBy(StrEnum):
    """What groups can be ranked by; they hold no max |x|."""

    RMS = "rms"
    """sqrt(mean² + std²): massive channels lead here as they do by max |x|."""
    MEAN_OVER_STD = "mean_over_std"


@dataclass(frozen=True)
class Overlap:
    """The top channels of two versions in one layer, representation and role."""

    found: float
    """Jaccard index of the top k of A and of B."""
    by_chance: float
    """The same of two measurements without a change; NaN with fewer than eight image groups."""


FEWEST_GROUPS = 8
"""With fewer, halves of the groups are too few and too alike."""


def _balanced_halves(groups: int) -> NDArray[np.bool_]:
    """Return halves of the groups, no two alike in more than half of them (Hadamard).

    Where the groups are no power of two, the halves are nearly so.
    """
    signs = np.ones((1, 1))
    while len(signs) < groups:
        signs = np.block([[signs, signs], [signs, -signs]])
    return signs[1:, :groups] > 0


def compare_top(a: GroupStats, b: GroupStats, k: int, rank_by: RankBy = RankBy.RMS) -> Overlap:
    """Return the overlap of the top k of two versions, and what chance alone leaves of it.

    Args:
        a: The groups of one version.
        b: Those of the other; as many channels.
        k: Length of the tops; with all channels in them the overlap is 1.
        rank_by: What to rank by.
    """
    tops = [_find_top(*version.present().pool(), k, rank_by) for version in (a, b)]
    swapped = _swap(a, b, k, rank_by)
    by_chance = float("nan") if swapped is None else float(np.mean(jaccard(*swapped)))
    return Overlap(float(jaccard(*tops)), by_chance)


@dataclass(frozen=True)
class Turnover:
    """How many of the top channels of a version are not among those of its baseline."""

    k: int
    """Channels of a top."""
    new: int
    by_chance: tuple[int, int] | tuple[None, None]
    """Bounds that hold 90 % of what two measurements without a change give; None where unknown."""


def count_turnover(a: GroupStats, b: GroupStats, k: int, rank_by: RankBy = RankBy.RMS) -> Turnover:
    """Count what is new among the top k, beside what is without a change.

    The arguments are those of `compare_top`.
    """
    tops = [_find_top(*version.present().pool(), k, rank_by) for version in (a, b)]
    new, swapped = int((tops[1] & ~tops[0]).sum()), _swap(a, b, k, rank_by)
    if swapped is None:
        return Turnover(k, new, (None, None))
    low, high = np.quantile((swapped[1] & ~swapped[0]).sum(axis=-1), [0.05, 0.95])
    return Turnover(k, new, (int(np.floor(low)), int(np.ceil(high))))


def _swap(
    a: GroupStats, b: GroupStats, k: int, rank_by: RankBy
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Return the top k of both sides of every swap, ``[swaps, channels]``; None with few groups."""
    a, b = a.present(), b.present()
    if len(a.count) != len(b.count) or len(a.count) < FEWEST_GROUPS:
        return None
    groups = GroupStats(
        np.concatenate([a.count, b.count]),
        np.concatenate([a.mean, b.mean]),
        np.concatenate([a.std, b.std]),
    )
    share = np.concatenate([a.count / a.count.sum(), b.count / b.count.sum()])
    first = _balanced_halves(len(a.count))
    one, other = (
        _find_top(*groups.pool(weights / weights.sum(axis=1, keepdims=True)), k, rank_by)
        for halves in (first, ~first)
        for weights in [np.concatenate([halves, ~halves], axis=1) * share]
    )
    return one, other


def rank_biased_overlap(
    ranking_a: Sequence[int] | NDArray[np.integer],
    ranking_b: Sequence[int] | NDArray[np.integer],
    p: float = 0.9,
) -> float:
    """Return how far two rankings agree, their heads counting most: 0 disjoint, 1 the same.

    The agreement at depth d, the share of the first d that is common to both, is averaged with
    weights (1 - p) pᵈ⁻¹; beyond the last rank the agreement found there is taken to go on
    (Webber, Moffat & Zobel 2010, A similarity measure for indefinite rankings, eq. 32).

    Args:
        ranking_a: Channel numbers, best first, none twice.
        ranking_b: As many.
        p: How deep to look, in (0, 1): the first ten ranks have 86 % of the weight at 0.9.

    Raises:
        ValueError: If the rankings are empty, of different lengths, or name a channel twice.
    """
    first, second = np.asarray(ranking_a), np.asarray(ranking_b)
    depth = len(first)
    if depth == 0 or len(second) != depth:
        raise ValueError(f"expected two rankings of one length, found {depth} and {len(second)}")
    if len(np.unique(first)) < depth or len(np.unique(second)) < depth:
        raise ValueError("a ranking names a channel twice")
    _, at_a, at_b = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    common = np.cumsum(np.bincount(np.maximum(at_a, at_b), minlength=depth))
    agreement = common / np.arange(1, depth + 1)
    weights = (1 - p) * p ** np.arange(depth)
    return float(weights @ agreement + agreement[-1] * p**depth)


def _find_top(mean: Floats, std: Floats, k: int, rank_by: RankBy) -> NDArray[np.bool_]:
    scores = np.hypot(mean, std) if rank_by is RankBy.RMS else mean_over_std(mean, std)
    return find_top(scores, max(k, 1))
