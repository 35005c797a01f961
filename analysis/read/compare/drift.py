"""The drift of two payloads: how far mean and std of every channel lie apart, cell by cell.

Whether a drift is more than noise is the matter of `noise`.
Layer drift is a standardised distance: with means μ and standard deviations σ of one layer,
representation and role in the payloads A and B, sqrt of the mean over channels of
((μA - μB)² + (σA - σB)²) / (½ (σA² + σB²)).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.payload.table import StatsTable

TINY_VARIANCE = 1e-12
"""Floor of the mean variance in the drift: keeps channels that never move finite."""


def have_same_channels(a: StatsTable, b: StatsTable) -> bool:
    """Return whether a channel number means the same in both; an unnamed backbone is trusted."""
    backbones = {table.backbone.get("backbone_name") for table in (a, b)} - {None}
    return a.channels == b.channels and len(backbones) <= 1


def compute_drift(
    a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return the drift between two arrays of statistics.

    Args:
        a: ``[..., 3, channels]``: mean, std, max_abs.
        b: The same shape.

    Returns:
        ``[...]``, 0 or more, the same for (a, b) and (b, a).
    """
    (mean_a, std_a, _), (mean_b, std_b, _) = (
        np.moveaxis(np.asarray(values, dtype=np.float64), -2, 0) for values in (a, b)
    )
    moved = (mean_a - mean_b) ** 2 + (std_a - std_b) ** 2
    variance = np.maximum((std_a**2 + std_b**2) / 2, TINY_VARIANCE)
    return np.sqrt(np.mean(moved / variance, axis=-1))


def have_same_images(a: StatsTable, b: StatsTable) -> bool:
    """Return whether both say that they were measured on the same list of images."""
    prints = [table.run.get("dataset_fingerprint") for table in (a, b)]
    return prints[0] is not None and prints[0] == prints[1]


def take_layers(table: StatsTable, layers: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the statistics of some layers, all held, ``[layers, 3, 2, 3, channels]``."""
    if np.array_equal(table.layers, layers):
        return table.values
    return table.values[np.searchsorted(table.layers, layers)]
