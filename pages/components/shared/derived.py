"""What pages derive from a payload, computed once per file and choice, never ahead of need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from analysis.payload.discovery import PayloadRef
from analysis.payload.extras import ExtraTable, Part, load_extras
from analysis.payload.table import load_table
from analysis.read.depth.advice import advise_layers
from analysis.read.depth.suppression import Suppression, measure_suppression
from analysis.read.frames import Aggregate, aggregate_channels, layer_frame
from analysis.read.normalization import build_normalization
from analysis.read.outliers import ChannelMap, Score, count_outliers, find_persistent, map_channels
from analysis.vocabulary import Representation, Statistic, TokenRole

OPEN_EXTRAS = 8
"""Payloads whose extras stay open; where nothing can be cached on disk each is up to 150 MB."""

KEPT = 64
"""Small results kept of each kind."""


def read_extras(ref: PayloadRef) -> ExtraTable:
    """Return the payload's extras; each part is read when it is asked for.

    Raises:
        PayloadError: If the file is not a payload, or its extras are broken.
    """
    return _read_extras(*_fingerprint(ref))


def aggregate(
    ref: PayloadRef, statistic: Statistic, over_channels: Aggregate, *, signed: bool = False
) -> NDArray[np.float32]:
    """Return one number per layer, representation and role, ``[layers, 3, 2]``."""
    return _aggregate(*_fingerprint(ref), statistic, over_channels, signed)


def aggregate_storage(
    ref: PayloadRef, statistic: Statistic, over_channels: Aggregate, *, signed: bool = False
) -> NDArray[np.float32] | None:
    """Return the same of the storage tokens, ``[layers, 3, tokens]``; None where not stored."""
    return _aggregate_storage(*_fingerprint(ref), statistic, over_channels, signed)


def tabulate_depth(ref: PayloadRef, statistic: Statistic, *, signed: bool = False) -> pd.DataFrame:
    """Return every aggregate of a statistic, one row per layer, representation and role."""
    return _tabulate_depth(*_fingerprint(ref), statistic, signed)


def tabulate_storage(
    ref: PayloadRef, statistic: Statistic, *, signed: bool = False
) -> pd.DataFrame | None:
    """Return what `tabulate_depth` does, of the storage tokens; None where not stored."""
    found = {over: aggregate_storage(ref, statistic, over, signed=signed) for over in Aggregate}
    table, roles = load_table(ref.path), read_extras(ref).storage_roles
    frame = pd.MultiIndex.from_product(
        [table.layers, [*map(str, Representation)], roles],
        names=["layer", "representation", "role"],
    ).to_frame(index=False)
    # each image has one of each, as it has one CLS token
    frame["tokens"] = np.repeat(table.counts[:, 0], len(Representation) * len(roles))
    for over, values in found.items():
        if values is None:
            return None
        frame[over.value] = values.ravel()
    return frame


def suppression(ref: PayloadRef) -> Suppression:
    """Return what the shared norm does to the outliers of every layer."""
    return _suppression(*_fingerprint(ref))


def advice(ref: PayloadRef, layers: Sequence[int]) -> pd.DataFrame:
    """Return which norm some layers need, and why."""
    return _advice(*_fingerprint(ref), tuple(int(layer) for layer in layers))


def count_left_out(
    ref: PayloadRef,
    representation: Representation,
    role: TokenRole,
    score: Score,
    threshold: float,
) -> dict[int, int]:
    """Return how many channels the normalisation vector leaves out, by layer."""
    return _count_left_out(*_fingerprint(ref), representation, role, score, threshold)


def persistence(
    ref: PayloadRef,
    representation: Representation,
    role: TokenRole,
    score: Score,
    k: int,
    threshold: float,
) -> pd.DataFrame:
    """Return the course of the channels that are among the top k of any layer."""
    return _persistence(*_fingerprint(ref), representation, role, score, k, threshold)


def outlier_counts(ref: PayloadRef, score: Score, threshold: float) -> NDArray[np.int64]:
    """Return the number of outliers of every layer, representation and role, ``[layers, 3, 2]``."""
    return _outlier_counts(*_fingerprint(ref), score, threshold)


def channel_map(
    ref: PayloadRef,
    representation: Representation,
    role: TokenRole,
    score: Score,
    k: int,
    max_rows: int,
) -> ChannelMap:
    """Return the map of the most persistent of these channels."""
    return _channel_map(*_fingerprint(ref), representation, role, score, k, max_rows)


def explain_absence(extras: ExtraTable, part: Part) -> None:
    """Say in place of a view why it cannot be drawn."""
    st.info(extras.why_absent(part), icon=":material/info:")


def _fingerprint(ref: PayloadRef) -> tuple[str, int, int]:
    state = ref.path.stat()  # asked anew each time: the list of payloads may be some seconds old
    return str(ref.path), state.st_size, state.st_mtime_ns


@st.cache_resource(max_entries=OPEN_EXTRAS, show_spinner="Reading the extras …")
def _read_extras(path: str, size: int, mtime_ns: int) -> ExtraTable:
    del size, mtime_ns  # part of the key only
    return load_extras(path)


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _aggregate(
    path: str,
    size: int,
    mtime_ns: int,
    statistic: Statistic,
    over_channels: Aggregate,
    signed: bool,
) -> NDArray[np.float32]:
    return aggregate_channels(load_table(path), statistic, over_channels, signed=signed)


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _aggregate_storage(
    path: str,
    size: int,
    mtime_ns: int,
    statistic: Statistic,
    over_channels: Aggregate,
    signed: bool,
) -> NDArray[np.float32] | None:
    values = _read_extras(path, size, mtime_ns).storage_values()
    if values is None:
        return None
    # as if the storage tokens were the roles of a payload of their own
    table = replace(load_table(path), values=values)
    return aggregate_channels(table, statistic, over_channels, signed=signed)


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _tabulate_depth(
    path: str, size: int, mtime_ns: int, statistic: Statistic, signed: bool
) -> pd.DataFrame:
    return layer_frame(load_table(path), statistic, signed=signed)


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _suppression(path: str, size: int, mtime_ns: int) -> Suppression:
    return measure_suppression(load_table(path))


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _advice(path: str, size: int, mtime_ns: int, layers: tuple[int, ...]) -> pd.DataFrame:
    return advise_layers(load_table(path), layers)


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _count_left_out(
    path: str,
    size: int,
    mtime_ns: int,
    representation: Representation,
    role: TokenRole,
    score: Score,
    threshold: float,
) -> dict[int, int]:
    table = load_table(path)
    arrays = build_normalization(table, representation, role, score, threshold)
    return {n: int((arrays[f"layer_{n}.keep"] == 0).sum()) for n in table.layers.tolist()}


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _persistence(
    path: str,
    size: int,
    mtime_ns: int,
    representation: Representation,
    role: TokenRole,
    score: Score,
    k: int,
    threshold: float,
) -> pd.DataFrame:
    return find_persistent(load_table(path), representation, role, score, k, threshold)


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _outlier_counts(
    path: str, size: int, mtime_ns: int, score: Score, threshold: float
) -> NDArray[np.int64]:
    return count_outliers(load_table(path), score, threshold)


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _channel_map(
    path: str,
    size: int,
    mtime_ns: int,
    representation: Representation,
    role: TokenRole,
    score: Score,
    k: int,
    max_rows: int,
) -> ChannelMap:
    return map_channels(load_table(path), representation, role, score, k, max_rows)
