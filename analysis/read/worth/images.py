"""Single images by their vectors: which moved, which stand alone, and a map of all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.read.worth.similarity import squared_distances

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Movement:
    """How far each image moved between two versions at a layer."""

    own: Array
    """``[images]``: beyond what all have in common, in units of the spread between images."""
    common: float
    """How far the mean of all images moved, in the same units."""


def measure_movement(before: NDArray[np.floating], after: NDArray[np.floating]) -> Movement:
    """Return how far each image moved; the unit is the rms distance of `before` from its mean.

    Args:
        before: ``[images, channels]``.
        after: The same images of the other version.
    """
    first, second = before.astype(np.float64), after.astype(np.float64)
    shift = second.mean(axis=0) - first.mean(axis=0)
    spread = np.sqrt(np.square(first - first.mean(axis=0)).sum(axis=1).mean())
    if spread == 0:
        return Movement(np.full(len(first), np.nan), np.nan)
    own = np.linalg.norm(second - first - shift, axis=1) / spread
    return Movement(own, float(np.linalg.norm(shift) / spread))


def measure_isolation(gram: Array, neighbours: int = 5) -> Array:
    """Return the mean distance of each image to its nearest, over the median image's, ``[n]``.

    Args:
        gram: Centred inner products, ``[n, n]``.
        neighbours: How many nearest images.
    """
    distances = np.sqrt(squared_distances(gram))
    np.fill_diagonal(distances, np.inf)
    count = min(neighbours, len(gram) - 1)
    near = np.partition(distances, count - 1, axis=1)[:, :count].mean(axis=1)
    middle = np.median(near)
    return near / middle if middle > 0 else np.full(len(near), np.nan)


@dataclass(frozen=True, eq=False)
class Plane:
    """Images along the two directions of largest variance."""

    points: Array
    """``[n, 2]``."""
    shares: Array
    """``[2]``: share of the variance along each."""


def principal_plane(gram: Array, like: Plane | None = None) -> Plane:
    """Return the first two principal components of the images.

    Args:
        gram: Centred inner products, ``[n, n]``.
        like: A plane, such as that of the layer before, whose directions' signs are followed.
    """
    values, basis = np.linalg.eigh(gram)
    values, basis = np.maximum(values[:-3:-1], 0), basis[:, :-3:-1]
    points = basis * np.sqrt(values)
    largest = points[np.abs(points).argmax(axis=0), np.arange(2)]
    guide = largest if like is None else (points * like.points).sum(axis=0)
    total = np.trace(gram)
    return Plane(points * np.where(guide < 0, -1, 1), values / total if total > 0 else values)
