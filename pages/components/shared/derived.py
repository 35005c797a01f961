"""What pages derive from a payload, computed once per file and choice, never ahead of need."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.language import N_
from analysis.payload.discovery import PayloadRef
from analysis.payload.features import read_features
from analysis.payload.reading import Reading
from analysis.read.depth.advice import advise_layers
from analysis.read.depth.suppression import Suppression, measure_suppression
from analysis.read.exceed import count_layers_met
from analysis.read.frames import Aggregate, aggregate_channels, layer_frame
from analysis.read.normalization import build_normalization
from analysis.read.outliers import ChannelMap, Score, count_outliers, find_persistent, map_channels
from analysis.read.worth.advice_probe import hold_to_probe
from analysis.vocabulary import Representation, Statistic, TokenRole
from pages.components.shared.cache import by_file


@by_file()
def aggregate(
    reading: Reading, statistic: Statistic, over_channels: Aggregate, *, signed: bool = False
) -> NDArray[np.float32]:
    """Return one number per layer, representation and role, ``[layers, 3, 2]``."""
    return aggregate_channels(reading.table, statistic, over_channels, signed=signed)


@by_file()
def aggregate_storage(
    reading: Reading, statistic: Statistic, over_channels: Aggregate, *, signed: bool = False
) -> NDArray[np.float32] | None:
    """Return the same of the storage tokens, ``[layers, 3, tokens]``; None where not stored."""
    values = reading.extras.storage_values()
    if values is None:
        return None
    # as if the storage tokens were the roles of a payload of their own
    table = replace(reading.table, values=values)
    return aggregate_channels(table, statistic, over_channels, signed=signed)


@by_file()
def tabulate_depth(reading: Reading, statistic: Statistic, *, signed: bool = False) -> pd.DataFrame:
    """Return every aggregate of a statistic, one row per layer, representation and role."""
    return layer_frame(reading.table, statistic, signed=signed)


def tabulate_storage(
    reading: Reading, statistic: Statistic, *, signed: bool = False
) -> pd.DataFrame | None:
    """Return what `tabulate_depth` does, of the storage tokens; None where not stored."""
    by_aggregate = {
        over: aggregate_storage(reading, statistic, over, signed=signed) for over in Aggregate
    }
    table, roles = reading.table, reading.extras.storage_roles
    frame = pd.MultiIndex.from_product(
        [table.layers, [*map(str, Representation)], roles],
        names=["layer", "representation", "role"],
    ).to_frame(index=False)
    # each image has one of each, as it has one CLS token
    frame["tokens"] = np.repeat(table.counts[:, 0], len(Representation) * len(roles))
    for over, values in by_aggregate.items():
        if values is None:
            return None
        frame[over.value] = values.ravel()
    return frame


@by_file()
def count_layers_beyond(reading: Reading, role: TokenRole) -> NDArray[np.int64] | None:
    """Return in how many layers enough tokens exceed 6, ``[channels]``; None where not stored."""
    counts = reading.extras.exceed(role)
    return (
        None if counts is None else count_layers_met(counts, reading.table.counts[:, role.position])
    )


@by_file()
def suppression(reading: Reading) -> Suppression:
    """Return what the shared norm does to the outliers of every layer."""
    return measure_suppression(reading.table)


@by_file()
def advice(reading: Reading, layers: tuple[int, ...]) -> pd.DataFrame:
    """Return which norm some layers need, and why."""
    return advise_layers(reading.table, layers)


@by_file()
def find_target(ref: PayloadRef, reading: Reading) -> str | None:
    """Return the first column that a probe can predict; None without any.

    Raises:
        PayloadError: If there are no vectors of single images.
    """
    features = read_features(ref.path, reading.table)
    return next(iter([*features.targets, *features.categories]), None)


@by_file(spinner=N_("Probing after each norm …"))
def advice_probed(
    ref: PayloadRef, reading: Reading, layers: tuple[int, ...], target: str
) -> pd.DataFrame:
    """Return what linear probes of a target say of the advice.

    Raises:
        InputError: If the target cannot be probed.
    """
    features = read_features(ref.path, reading.table)
    return hold_to_probe(features, advise_layers(reading.table, layers), target)


@by_file()
def count_left_out(
    reading: Reading,
    representation: Representation,
    role: TokenRole,
    score: Score,
    threshold: float,
) -> dict[int, int]:
    """Return how many channels the normalisation vector leaves out, by layer."""
    table = reading.table
    arrays = build_normalization(table, representation, role, score, threshold)
    return {n: int((arrays[f"layer_{n}.keep"] == 0).sum()) for n in table.layers.tolist()}


@by_file()
def persistence(
    reading: Reading,
    representation: Representation,
    role: TokenRole,
    score: Score,
    k: int,
    threshold: float,
) -> pd.DataFrame:
    """Return the course of the channels that are among the top k of any layer."""
    return find_persistent(reading.table, representation, role, score, k, threshold)


@by_file()
def outlier_counts(reading: Reading, score: Score, threshold: float) -> NDArray[np.int64]:
    """Return the number of outliers of every layer, representation and role, ``[layers, 3, 2]``."""
    return count_outliers(reading.table, score, threshold)


@by_file()
def channel_map(
    reading: Reading,
    representation: Representation,
    role: TokenRole,
    score: Score,
    k: int,
    max_rows: int,
) -> ChannelMap:
    """Return the map of the most persistent of these channels."""
    return map_channels(reading.table, representation, role, score, k, max_rows)
