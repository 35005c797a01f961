"""Several versions in a row: what grew, and which of them moved away from the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.payload.table import StatsTable
from analysis.read.compare.comparison import compare
from analysis.vocabulary import REPRESENTATIONS, ROLES, Cell, Statistic, cell_at


@dataclass(frozen=True)
class LargestMove:
    """The cell that is farthest from the first version."""

    version: int
    """Position among the versions."""
    cell: Cell
    drift: float


def measure_drift_from_first(
    tables: Sequence[StatsTable],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the layers that all versions hold, and their drift from the first version.

    Args:
        tables: Two or more, of one backbone; at least one layer in common.

    Returns:
        ``[layers]`` and ``[versions, layers, 3, 2]``, 0 for the first version itself.

    Raises:
        ValueError: If two of them cannot be compared channel by channel.
    """
    first, *others = tables
    layers = first.layers
    for table in others:
        layers = np.intersect1d(layers, table.layers)
    drift = [np.zeros((len(layers), len(REPRESENTATIONS), len(ROLES)))]
    for table in others:
        comparison = compare(first, table)
        if comparison.drift is None or not len(layers):
            raise ValueError("expected versions of one backbone with a layer in common")
        drift.append(comparison.drift[np.searchsorted(comparison.layers, layers)])
    return layers, np.stack(drift)


def find_largest_move(layers: NDArray[np.int64], drift: NDArray[np.float64]) -> LargestMove:
    """Say which version is farthest from the first one, and where.

    Args:
        layers: ``[layers]``.
        drift: ``[versions, layers, 3, 2]``, as `measure_drift_from_first` returns it.
    """
    known = np.nan_to_num(drift)  # a cell of constant channels has no drift
    version, *index = np.unravel_index(int(known.argmax()), known.shape)
    return LargestMove(int(version), cell_at(layers, index), float(known.max()))


def follow_channels(tables: Sequence[StatsTable], cell: Cell) -> NDArray[np.float32]:
    """Return max |x| of every channel in every version, ``[versions, channels]``.

    Raises:
        PayloadError: If a version lacks the layer.
    """
    return np.stack([table[cell][Statistic.MAX_ABS.position] for table in tables])


def find_most_changed(values: NDArray[np.floating], k: int) -> list[int]:
    """Return the k channels whose values differ most between versions, in relation to the least.

    Args:
        values: ``[versions, channels]``, 0 or more. Only channels that are among the 10 k largest
            of some version count: small ones change by large factors all the time.
        k: How many.
    """
    peak = values.max(axis=0).astype(np.float64)
    large = np.argsort(-peak, kind="stable")[: 10 * k]
    floor = float(np.median(peak)) / 1000 or 1.0
    change = np.log(np.maximum(peak, floor) / np.maximum(values.min(axis=0), floor))
    return [int(channel) for channel in large[np.argsort(-change[large], kind="stable")][:k]]
