"""The smallest and largest value of each layer, and the layers where they pass a bound."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.payload.table import StatsTable
from analysis.vocabulary import ROLES, Representation, Statistic


def find_largest_channels(table: StatsTable) -> NDArray[np.float32]:
    """Return the three largest max |x| of the channels and that of the median channel.

    Over all images, CLS and patch tokens of the block output; ``[layers, 4]``.
    """
    sizes = np.maximum(
        *(table.over_depth(Representation.PRE, role, Statistic.MAX_ABS) for role in ROLES)
    )
    largest = np.sort(sizes, axis=1)[:, :-4:-1]
    return np.column_stack([largest, np.median(sizes, axis=1)]).astype(np.float32)


def find_extremes(layers: NDArray[np.integer], ends: NDArray[np.floating]) -> pd.DataFrame:
    """Return the extremes of every layer and the channels they belong to.

    Args:
        layers: ``[layers]``.
        ends: ``[layers, 2, channels]``: signed minimum and maximum of every channel.

    Returns:
        One row per layer: layer, min, min_channel, max, max_channel.
    """
    low, high = ends[:, 0], ends[:, 1]
    return pd.DataFrame(
        {
            "layer": layers,
            "min": low.min(axis=1),
            "min_channel": low.argmin(axis=1).astype(np.int32),
            "max": high.max(axis=1),
            "max_channel": high.argmax(axis=1).astype(np.int32),
        }
    )


def find_beyond(
    layers: NDArray[np.integer], ends: NDArray[np.floating], lower: float, upper: float
) -> pd.DataFrame:
    """Return the rows of `find_extremes` that pass a bound, with how many channels do.

    Args:
        layers: ``[layers]``.
        ends: As in `find_extremes`.
        lower: Values below it count.
        upper: Values above it count.
    """
    frame = find_extremes(layers, ends)
    frame["channels_below"] = (ends[:, 0] < lower).sum(axis=1)
    frame["channels_above"] = (ends[:, 1] > upper).sum(axis=1)
    beyond = (frame["channels_below"] > 0) | (frame["channels_above"] > 0)
    return frame[beyond].reset_index(drop=True)
