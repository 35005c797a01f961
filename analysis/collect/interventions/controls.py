"""Draw control channels: as many, at random, from the middle of the layer's distribution."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from analysis.errors import ConfigError

MIDDLE = (0.25, 0.75)
"""Quantiles of the channels' max |x| between which controls are drawn."""


def draw_controls(
    sizes: NDArray[np.floating],
    chosen: Collection[int],
    draws: int,
    *,
    size: int | None = None,
    seed: int = 0,
) -> list[tuple[int, ...]]:
    """Return sets of channels without the chosen ones.

    Args:
        sizes: ``[channels]``: max |x| of the start layer.
        chosen: The channels of the intervention.
        draws: How many sets.
        size: Channels of each set; as many as were chosen where None.
        seed: Same seed, same sets.

    Raises:
        ConfigError: If the middle of the distribution holds too few other channels.
    """
    size = len(chosen) if size is None else size
    low, high = np.quantile(sizes, MIDDLE)
    middle = np.flatnonzero((sizes >= low) & (sizes <= high))
    middle = np.setdiff1d(middle, np.array(sorted(chosen), dtype=np.int64))
    if draws and len(middle) < size:
        raise ConfigError(
            f"{size} channels are too many for a control: only {len(middle)} others lie in "
            "the middle half of this layer. Choose fewer channels, or --draws 0."
        )
    generator = np.random.default_rng(seed)
    return [
        tuple(sorted(generator.choice(middle, size, replace=False).tolist())) for _ in range(draws)
    ]
