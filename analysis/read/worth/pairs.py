"""Channels whose mean moved, told from pairs of images; images by date, state or any category."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.language import _
from analysis.payload.features import Features
from analysis.read.compare.false_discovery import find_discoveries
from analysis.read.worth.grams import pair_images
from analysis.vocabulary import Cell

FALSE_DISCOVERY = 0.01
MIN_PAIRS = 8


@dataclass(frozen=True, eq=False)
class PairTest:
    """The change of each channel's mean between two versions, on the same images."""

    shift: NDArray[np.float64]
    """``[channels]``: version minus baseline, in stds of the baseline's channel."""
    error: NDArray[np.float64]
    """``[channels]``: standard error over the pairs of images, in the same units."""
    differs: NDArray[np.bool_]
    """``[channels]``: beyond the noise, at a false discovery rate of 1 % over the channels."""
    images: int


def compare_pairs(before: Features, after: Features, cell: Cell) -> PairTest:
    """Test each channel's mean by the paired t test over images.

    A second opinion of the noise, which comparisons tell from groups of images: each image is one
    observation, its own difference between the versions. Images that are alike, as neighbours in
    a list can be, make the error too small.

    Args:
        before: The baseline.
        after: The version.
        cell: The layer, representation and role.

    Raises:
        InputError: If the two have other channels or fewer than eight common images.
        PayloadError: If one of them lacks the layer.
    """
    images, others = pair_images(after, before)
    if before.table.channels != after.table.channels or len(images) < MIN_PAIRS:
        raise InputError(
            _(
                "Channels are compared on {min_pairs} or more common images of one "
                "backbone; there are {count}, of {channels} and {table_channels} "
                "channels. Choose another version."
            ).format(
                min_pairs=MIN_PAIRS,
                count=len(images),
                channels=before.table.channels,
                table_channels=after.table.channels,
            )
        )
    from scipy.stats import t  # half a second, which most pages never need

    difference = after.vectors(cell)[images].astype(np.float64) - before.vectors(cell)[others]
    difference = difference[np.isfinite(difference).all(axis=1)]
    count = len(difference)
    std = before.table[cell][1].astype(np.float64)
    unit = np.where(std > 0, std, np.inf)
    shift = difference.mean(axis=0)
    error = difference.std(axis=0, ddof=1) / np.sqrt(count)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * t.sf(np.abs(shift) / error, count - 1)  # NaN where nothing differs at all
    return PairTest(shift / unit, error / unit, find_discoveries(p, FALSE_DISCOVERY), count)


def tabulate_categories(features: Features, cell: Cell, column: str) -> pd.DataFrame:
    """Return how the images of each date, state or other category stand apart at a layer.

    Args:
        features: As `read_features` returns them.
        cell: The layer, representation and role.
        column: A category.

    Returns:
        category, images, distance (of their mean from that of all images) and spread (rms distance
        from their own mean), both in units of the spread of all images; most images first.

    Raises:
        InputError: If there is no such category.
    """
    if column not in features.categories:
        known = _(", ").join(features.categories) or _("none")
        raise InputError(
            _("{path}: has no category {column!r}. It has: {known}.").format(
                path=features.path, column=column, known=known
            )
        )
    vectors, labels = features.vectors(cell).astype(np.float64), features.categories[column]
    known = np.isfinite(vectors).all(axis=1) & (labels != "")
    vectors, labels = vectors[known], labels[known]
    centred = vectors - vectors.mean(axis=0) if len(vectors) else vectors
    spread = np.sqrt(np.square(centred).sum(axis=1).mean()) if len(vectors) else np.nan
    rows = []
    for name in np.unique(labels):
        part = centred[labels == name]
        middle = part.mean(axis=0)
        rows.append(
            {
                "category": str(name),
                "images": len(part),
                "distance": float(np.linalg.norm(middle) / spread),
                "spread": float(np.sqrt(np.square(part - middle).sum(axis=1).mean()) / spread),
            }
        )
    frame = pd.DataFrame(rows, columns=["category", "images", "distance", "spread"])
    return frame.sort_values("images", ascending=False, kind="stable", ignore_index=True)
