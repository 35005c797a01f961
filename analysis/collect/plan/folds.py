"""Draw training and validation parts: of images or of groups of images, once or in k folds.

Positions refer to the images sorted by id, as training has them. docs/configs.md describes each
draw; those of the folds and of single images are training's own, to the last image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.collect.plan.config_values import ConfigKeys, to_flag, to_positive
from analysis.errors import ConfigError

GROUP_COLUMNS = ("Sampling_Date", "State")
DEFAULT_FOLDS = 5

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Folds:
    """The section `kfold` of a config."""

    enabled: bool = False
    k: int = DEFAULT_FOLDS
    even_split: bool = False
    """Whether each fold draws halves anew instead of taking its part of one division."""
    grouped: bool | None = None
    """`group_by_date_state`; None where the config does not say, which groups the folds only."""


def read_folds(keys: ConfigKeys) -> Folds | None:
    """Return the section `kfold`, None where there is none."""
    if keys.find("kfold") is None:
        return None
    return Folds(
        enabled=keys.read("kfold.enabled", to_flag, False),
        k=keys.read("kfold.k", to_positive, DEFAULT_FOLDS),
        even_split=keys.read("kfold.even_split", to_flag, False),
        grouped=keys.read("kfold.group_by_date_state", to_flag, None),
    )


def check_fold(fold: int | None, folds: Folds | None) -> None:
    """Refuse a fold that the config does not have.

    Raises:
        ConfigError: If there is no section `kfold`, or fewer folds.
    """
    if fold is None:
        return
    if folds is None:
        raise ConfigError(f"--fold {fold}: the config has no section kfold; add kfold.k.")
    if not 0 <= fold < folds.k:
        raise ConfigError(f"--fold {fold}: kfold.k is {folds.k}, so choose 0 to {folds.k - 1}.")


def draw_images(n: int, share: float, seed: int) -> Positions:
    """Return the validation images of the single split: the first of a shuffled order."""
    order = np.arange(n)
    np.random.default_rng(seed).shuffle(order)
    return order[: max(1, int(n * share))]


def draw_groups(labels: Sequence[str], share: float, seed: int) -> Positions:
    """Return the validation images of the single split that keeps groups together.

    Groups in a shuffled order until they hold the share of the images; one group at least stays
    for training.
    """
    names, group_of = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    sizes = np.bincount(group_of, minlength=len(names))
    order = np.arange(len(names))
    np.random.default_rng(seed).shuffle(order)
    wanted = max(1, int(len(labels) * share))
    before = np.cumsum(sizes[order]) - sizes[order]
    chosen = order[before < wanted][: max(1, len(names) - 1)]
    return np.flatnonzero(np.isin(group_of, chosen))


def draw_fold(
    n: int, folds: Folds, fold: int, seed: int, labels: Sequence[str] | None = None
) -> Positions:
    """Return the validation images of one fold.

    Args:
        n: Number of images.
        folds: How many folds, and whether halves.
        fold: Which one, from 0.
        seed: Of the draw.
        labels: The group of every image, ``[n]``; None draws single images.
    """
    rng = np.random.default_rng(seed)
    if labels is None and not folds.even_split:
        order = np.arange(n)
        rng.shuffle(order)
        return np.array_split(order, folds.k)[fold]
    if labels is None:
        halves = [rng.permutation(np.arange(n)) for _ in range(fold + 1)]
        return halves[fold][n // 2 :]
    names, group_of = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    sizes = np.bincount(group_of, minlength=len(names))
    order = np.arange(len(names))
    rng.shuffle(order)
    if folds.even_split:
        halves = [rng.permutation(np.arange(len(names))) for _ in range(fold + 1)]
        drawn = halves[fold]
        in_training = np.cumsum(sizes[drawn]) <= n // 2
        in_training[0] |= not in_training.any()
        chosen = drawn[~in_training]
    else:
        chosen = _assign_groups(order, sizes, folds.k)[fold]
    return np.flatnonzero(np.isin(group_of, chosen))


def _assign_groups(order: Positions, sizes: Positions, k: int) -> list[list[int]]:
    """Give each group in turn to the fold that has the fewest images so far."""
    members: list[list[int]] = [[] for _ in range(k)]
    filled = np.zeros(k, dtype=np.int64)
    for group in order.tolist():
        smallest = int(np.argmin(filled))
        members[smallest].append(group)
        filled[smallest] += sizes[group]
    return members
