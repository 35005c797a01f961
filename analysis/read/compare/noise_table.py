"""Two versions against their noise, over all layers, representations and roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.payload.groups import read_groups
from analysis.read.compare.false_discovery import find_discoveries
from analysis.read.compare.noise import LEVEL, NO_GROUPS, compare_groups
from analysis.vocabulary import REPRESENTATIONS, ROLES, list_cells

Extras = Mapping[str, Any]


@dataclass(frozen=True)
class NoiseTable:
    """The noise of every cell; NaN, 0 and False where it cannot be told."""

    layers: NDArray[np.int64]
    """``[layers]``."""
    drift: NDArray[np.float64]
    """``[layers, 3, 2]``: of the pooled groups, that of the payload up to rounding."""
    noise_floor: NDArray[np.float64]
    """``[layers, 3, 2]``: root mean square of the drift that chance alone gives."""
    drift_p: NDArray[np.float64]
    """``[layers, 3, 2]``: how often chance alone gives at least the drift."""
    flagged_channels: NDArray[np.int64]
    """``[layers, 3, 2]``: channels whose mean or std differs by more than noise."""
    beyond: NDArray[np.bool_]
    """``[layers, 3, 2]``: a channel is flagged, or the drift as a whole exceeds chance at the
    false discovery rate over all cells."""
    paired: bool
    """Whether every cell was compared image group by image group."""
    notes: tuple[str, ...]
    """Why nothing, or not all, is called significant."""


def compare_noise(
    a: Extras | None,
    b: Extras | None,
    layers: Sequence[int] | NDArray[np.int64],
    *,
    same_images: bool,
    level: float = LEVEL,
) -> NoiseTable:
    """Compare two payloads in every layer, representation and role.

    Args:
        a: `extras` of the payload to compare from; None where it has none.
        b: `extras` of the payload to compare with.
        layers: Those that both hold.
        same_images: Whether both carry the same dataset fingerprint.
        level: Accepted share of false discoveries.
    """
    shape = (len(layers), len(REPRESENTATIONS), len(ROLES))
    drift, floor, p = (np.full(shape, np.nan) for _ in range(3))
    flagged = np.zeros(shape, dtype=np.int64)
    paired, notes = same_images, dict[str, None]()
    for index, cell in list_cells(layers):
        groups_a, groups_b = (read_groups(extras, *cell) for extras in (a, b))
        if groups_a is None or groups_b is None:
            notes[NO_GROUPS] = None
            continue
        found = compare_groups(groups_a, groups_b, same_images=same_images, level=level)
        drift[index], floor[index], p[index] = found.drift, found.noise_floor, found.drift_p
        flagged[index] = found.flagged.sum()
        paired &= found.paired
        if found.note:
            notes[found.note] = None
    return NoiseTable(
        np.asarray(layers, dtype=np.int64),
        drift,
        floor,
        p,
        flagged,
        (flagged > 0) | find_discoveries(p, level),
        paired and not np.isnan(p).all(),
        tuple(notes),
    )
