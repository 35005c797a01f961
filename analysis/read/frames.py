"""Statistics of a payload as tidy tables, one row per layer or channel."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.language import N_, Texts
from analysis.payload.table import StatsTable
from analysis.read.depth.suppression import Suppression
from analysis.vocabulary import (
    REPRESENTATIONS,
    ROLES,
    STATISTICS,
    Representation,
    Statistic,
    TokenRole,
)


class Aggregate(StrEnum):
    """How one number is made of all channels of a layer."""

    MEDIAN = "median"
    P90 = "p90"
    P99 = "p99"
    MAX = "max"
    MEAN = "mean"
    MIN = "min"
    STD = "std"


AGGREGATE_LABELS = Texts(
    {
        Aggregate.MEDIAN: N_("median"),
        Aggregate.P90: N_("p90"),
        Aggregate.P99: N_("p99"),
        Aggregate.MAX: N_("max"),
        Aggregate.MEAN: N_("mean"),
        Aggregate.MIN: N_("min"),
        Aggregate.STD: N_("std"),
    }
)

_QUANTILES = {Aggregate.MEDIAN: 0.5, Aggregate.P90: 0.9, Aggregate.P99: 0.99}


def aggregate_channels(
    table: StatsTable, statistic: Statistic, aggregate: Aggregate, *, signed: bool = False
) -> NDArray[np.float32]:
    """Return one number per layer, representation and role, ``[layers, 3, 2]``.

    Args:
        table: The payload.
        statistic: What is aggregated.
        aggregate: How; the std is that of a population.
        signed: Aggregate the mean itself. Else its size |mean|: signed means of many channels
            cancel and say little.
    """
    return aggregate_values(table.values[:, :, :, statistic.position], aggregate, signed=signed)


def aggregate_values(
    values: NDArray[np.floating], aggregate: Aggregate, *, signed: bool = False
) -> NDArray[np.float32]:
    """Return one number for all channels of ``[..., channels]``; of their sizes if not signed."""
    if not signed:
        values = np.abs(values)
    match aggregate:
        case Aggregate.MAX:
            return values.max(axis=-1).astype(np.float32)
        case Aggregate.MIN:
            return values.min(axis=-1).astype(np.float32)
        case Aggregate.MEAN:
            return values.mean(axis=-1, dtype=np.float64).astype(np.float32)
        case Aggregate.STD:
            return values.std(axis=-1, dtype=np.float64).astype(np.float32)
    return np.quantile(values, _QUANTILES[aggregate], axis=-1).astype(np.float32)


def layer_frame(table: StatsTable, statistic: Statistic, *, signed: bool = False) -> pd.DataFrame:
    """Return every aggregate of one statistic, one row per layer, representation and role."""
    frame = _depth_index(table)
    for aggregate in Aggregate:
        values = aggregate_channels(table, statistic, aggregate, signed=signed)
        frame[aggregate.value] = values.ravel()
    return frame


def channel_frame(
    table: StatsTable, layer: int, representation: Representation, role: TokenRole
) -> pd.DataFrame:
    """Return all statistics of one layer, one row per channel."""
    columns = {s.value: table.get(layer, representation, role, s) for s in STATISTICS}
    return pd.DataFrame({"channel": np.arange(table.channels, dtype=np.int32), **columns})


def channel_depth_frame(table: StatsTable, channel: int) -> pd.DataFrame:
    """Return all statistics of one channel, one row per layer, representation and role."""
    frame = _depth_index(table)
    for index, statistic in enumerate(STATISTICS):
        frame[statistic.value] = table.values[..., index, channel].ravel()
    return frame


def _depth_index(table: StatsTable) -> pd.DataFrame:
    index = pd.MultiIndex.from_product(
        [table.layers, [*map(str, REPRESENTATIONS)], [*map(str, ROLES)]],
        names=["layer", "representation", "role"],
    )
    frame = index.to_frame(index=False)
    frame["tokens"] = np.broadcast_to(table.counts[:, None], table.values.shape[:3]).ravel()
    return frame


def tabulate_suppression(layers: NDArray[np.integer], found: Suppression) -> pd.DataFrame:
    """Return the suppression as one row per layer and role."""
    index = pd.MultiIndex.from_product([layers, [*map(str, TokenRole)]], names=["layer", "role"])
    return pd.DataFrame(
        {
            "factor": found.factor.ravel(),
            "outliers": found.outliers.ravel(),
            "remaining": found.remaining.ravel(),
        },
        index=index,
    ).reset_index()


def tabulate_cells(
    layers: NDArray[np.integer], values: NDArray[np.number], name: str
) -> pd.DataFrame:
    """Return values ``[layers, 3, 2]`` as one row per layer, representation and role."""
    index = pd.MultiIndex.from_product(
        [layers, [*map(str, Representation)], [*map(str, TokenRole)]],
        names=["layer", "representation", "role"],
    )
    return pd.DataFrame({name: values.ravel()}, index=index).reset_index()


def tabulate_pair(
    sizes: tuple[NDArray[np.floating], NDArray[np.floating]],
    pair: tuple[Representation, Representation],
) -> pd.DataFrame:
    """Return a statistic of every channel in two representations."""
    columns = {str(each): values for each, values in zip(pair, sizes, strict=True)}
    return pd.DataFrame(columns).rename_axis("channel").reset_index()
