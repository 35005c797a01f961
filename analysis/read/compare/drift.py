"""The drift of two payloads: how far mean and std of every channel lie apart, cell by cell.

Layer drift is a standardised distance: with means μ and standard deviations σ of one layer,
representation and role in the payloads A and B, sqrt of the mean over channels of
((μA - μB)² + (σA - σB)²) / (½ (σA² + σB²)). A channel that is constant in both has no unit to
measure a difference in and is left out. A std that vanishes or explodes adds at most 2 to the mean
over channels: the log ratio of the stds says how far it went.

Whether a drift is more than noise is the matter of `noise`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.payload.table import StatsTable

Floats = NDArray[np.float64]

TINY_VARIANCE = 1e-12
"""A mean variance up to this is that of a constant channel."""

RESOLUTION = 1e-5
"""Two runs of the same network agree to this part of a channel's root mean square, no better."""


def have_same_channels(a: StatsTable, b: StatsTable) -> bool:
    """Return whether a channel number means the same in both; an unnamed backbone is trusted."""
    backbones = {table.backbone.get("backbone_name") for table in (a, b)} - {None}
    return a.channels == b.channels and len(backbones) <= 1


def compute_drift(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> Floats:
    """Return the drift between two arrays of statistics.

    Args:
        a: ``[..., 3, channels]``: mean, std, max_abs.
        b: The same shape.

    Returns:
        ``[...]``, 0 or more, the same for (a, b) and (b, a); NaN where every channel is constant.
    """
    return measure_drift(*_moments(a), *_moments(b))[0]


def measure_drift(
    mean_a: Floats, std_a: Floats, mean_b: Floats, std_b: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the drift, ``[...]``, and the channels that it is the mean of, ``[..., channels]``.

    Args:
        mean_a: ``[..., channels]``; likewise the others.
        std_a: Of the baseline.
        mean_b: Of the version.
        std_b: Of the version.
    """
    variance = (std_a**2 + std_b**2) / 2
    rounding = RESOLUTION**2 * (mean_a**2 + mean_b**2) / 2
    usable = variance > np.maximum(TINY_VARIANCE, rounding)
    moved = (mean_a - mean_b) ** 2 + (std_a - std_b) ** 2
    ratio = np.divide(moved, variance, out=np.zeros_like(variance), where=usable)
    return np.sqrt(_mean_of(ratio, usable)), usable


def compute_log_ratio(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> Floats:
    """Return the mean over channels of log(σB / σA): 0.69 where stds doubled, -0.69 where halved.

    Args:
        a: ``[..., 3, channels]``: mean, std, max_abs.
        b: The same shape.

    Returns:
        ``[...]``; channels that are constant in either are left out, NaN where all are.
    """
    (_, std_a), (_, std_b) = _moments(a), _moments(b)
    usable = np.minimum(std_a, std_b) > np.sqrt(TINY_VARIANCE)
    ratio = np.divide(std_b, std_a, out=np.ones_like(std_a), where=usable)
    return _mean_of(np.log(ratio), usable)


def have_same_images(a: StatsTable, b: StatsTable) -> bool:
    """Return whether both say that they were measured on the same list of images."""
    prints = [table.run.get("dataset_fingerprint") for table in (a, b)]
    return prints[0] is not None and prints[0] == prints[1]


def take_layers(table: StatsTable, layers: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the statistics of some layers, all held, ``[layers, 3, 2, 3, channels]``."""
    if np.array_equal(table.layers, layers):
        return table.values
    return table.values[np.searchsorted(table.layers, layers)]


def _moments(statistics: NDArray[np.floating[Any]]) -> tuple[Floats, Floats]:
    mean, std, _ = np.moveaxis(np.asarray(statistics, dtype=np.float64), -2, 0)
    return mean, std


def _mean_of(values: Floats, usable: NDArray[np.bool_]) -> Floats:
    number = usable.sum(axis=-1)
    total = np.where(usable, values, 0).sum(axis=-1)
    return np.divide(total, number, out=np.full(number.shape, np.nan), where=number > 0)
