"""A target as a probe needs it: encoded values, folds and permutations of the images."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.language import N_, _
from analysis.read.worth.grams import thin

FOLDS = 5
REPEATS = 2
PERMUTATIONS = 49
MIN_IMAGES = 20
MAX_LABELS = 20
MOST_IMAGES = 1000
"""Images that are probed; of more, as many evenly spaced ones are taken."""

_SPLITTERS = "sklearn.model_selection"


class Measure(StrEnum):
    """What the quality of a probe is measured by."""

    R2 = "R2"
    BALANCED_ACCURACY = N_("balanced accuracy")


@dataclass(frozen=True, eq=False)
class Problem:
    """What a probe has to learn; the same for every cell and version of the same images."""

    name: str
    """Column of the target."""
    measure: Measure
    kept: NDArray[np.intp]
    """``[n]``: positions of the images that have a value, at most `MOST_IMAGES`."""
    codes: NDArray[np.float64]
    """``[n, outputs]``: the value, or for each label 1 / its frequency on its own images, else 0.

    The largest output is then the label that is most likely at equal frequencies, which is what
    balanced accuracy rewards.
    """
    folds: NDArray[np.intp]
    """``[repeats, n]``: the fold that holds each image out."""
    permutations: NDArray[np.intp]
    """``[permutations, n]``: orders of the images that destroy what the target has to do with them.
    """
    labels: tuple[str, ...] = ()
    """Of a category, in the order of the outputs."""
    group: str | None = None
    """Column whose images are held out together."""

    def held_out(self) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Yield the repeat and the images of every fold."""
        for repeat, folds in enumerate(self.folds):
            for fold in range(folds.max() + 1):
                yield repeat, np.flatnonzero(folds == fold)


def make_problem(
    name: str,
    values: NDArray[np.float64] | NDArray[np.str_],
    *,
    group: str | None = None,
    groups: NDArray[np.generic] | None = None,
    repeats: int = REPEATS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Problem:
    """Return a target as a probe needs it.

    Args:
        name: Column of the target.
        values: ``[images]``: numbers, NaN where unknown, or texts, empty where unknown.
        group: Column whose images are held out together; for the record.
        groups: ``[images]``: its values.
        repeats: How often the images are split into folds anew.
        permutations: Number of permuted targets.
        seed: Of folds and permutations.

    Raises:
        InputError: If there are too few images, the target is constant, a label is on fewer images
            than there are folds, or there are too many labels or too few groups.
    """
    is_category = values.dtype.kind == "U"
    known = values != "" if is_category else np.isfinite(values.astype(np.float64))
    kept = thin(np.flatnonzero(known), MOST_IMAGES)
    chosen = values[kept]
    if len(kept) < MIN_IMAGES:
        raise InputError(
            _(
                "{name}: {count} images have a value; a probe needs {min_images}. "
                "Choose another target or keep more images (--image-features)."
            ).format(name=name, count=len(kept), min_images=MIN_IMAGES)
        )
    labels: tuple[str, ...] = ()
    if is_category:
        names, codes, counts = np.unique(chosen, return_inverse=True, return_counts=True)
        labels = tuple(map(str, names))
        if not 2 <= len(labels) <= MAX_LABELS or counts.min() < FOLDS:
            raise InputError(
                _(
                    "{name}: {count} labels, the rarest on {counts_min} images; a "
                    "probe needs 2 to {max_labels} labels on {folds} images each. "
                    "Choose another category."
                ).format(
                    name=name,
                    count=len(labels),
                    counts_min=counts.min(),
                    max_labels=MAX_LABELS,
                    folds=FOLDS,
                )
            )
        encoded = np.eye(len(labels))[codes] * (len(kept) / counts)
    else:
        encoded = chosen.astype(np.float64)[:, None]
        if np.ptp(encoded) == 0:
            raise InputError(
                _("{name}: the same value on all images. Choose another target.").format(name=name)
            )
    blocks = None
    if groups is not None:
        blocks = np.unique(groups[kept], return_inverse=True)[1]
        if blocks.max() < 2:
            raise InputError(
                _(
                    "{group}: {blocks_max} different values; folds grouped by a column "
                    "need 3. Choose another column or none."
                ).format(group=group, blocks_max=blocks.max() + 1)
            )
    rng = np.random.default_rng(seed)
    return Problem(
        name,
        Measure.BALANCED_ACCURACY if is_category else Measure.R2,
        kept,
        encoded,
        _split(encoded, blocks, repeats, seed),
        np.array([_permute(len(kept), blocks, rng) for _unused in range(permutations)], np.intp),
        labels,
        group,
    )


def load_splitters() -> None:
    """Import what splits images into folds, seconds before a probe is asked for."""
    importlib.import_module(_SPLITTERS)


def _split(
    codes: NDArray[np.float64], blocks: NDArray[np.intp] | None, repeats: int, seed: int
) -> NDArray[np.intp]:
    # imported once a probe is asked for, or ahead by `load_splitters`: it takes a second or more
    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

    folds = np.empty((repeats, len(codes)), np.intp)
    for repeat in range(repeats):
        if blocks is not None:
            count = min(FOLDS, int(blocks.max()) + 1)
            splitter = GroupKFold(count, shuffle=True, random_state=seed + repeat)
        elif codes.shape[1] > 1:
            splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=seed + repeat)
        else:
            splitter = KFold(FOLDS, shuffle=True, random_state=seed + repeat)
        for fold, (_unused, out) in enumerate(splitter.split(codes, codes.argmax(axis=1), blocks)):
            folds[repeat, out] = fold
    return folds


def _permute(
    count: int, blocks: NDArray[np.intp] | None, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return a random order of the images; the values of a group stay together."""
    if blocks is None:
        return rng.permutation(count)
    members = [np.flatnonzero(blocks == block) for block in range(blocks.max() + 1)]
    places = np.concatenate(members)
    order = np.empty(count, np.intp)
    order[places] = np.concatenate(
        [rng.permutation(members[b]) for b in rng.permutation(len(members))]
    )
    return order
