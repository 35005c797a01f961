"""What differs between versions, computed once for files that stay the same."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from analysis.payload.extras import load_extras
from analysis.payload.groups import GroupStats, read_groups
from analysis.read.compare.drift import (
    Comparison,
    compare_tables,
    have_same_images,
    jaccard_over_depth,
    rank_biased_over_depth,
)
from analysis.read.compare.findings import Finding, describe_comparison
from analysis.read.compare.noise import NO_GROUPS, CellNoise, compare_groups
from analysis.read.compare.noise_table import NoiseTable, compare_noise
from analysis.read.compare.outlier_change import find_outlier_change
from analysis.read.compare.overlap import RankBy, compare_top
from analysis.read.compare.timeline import measure_drift_from_first
from analysis.read.outliers import Score
from analysis.vocabulary import Representation, Statistic, TokenRole
from pages.components.shared.version import Version

Floats = NDArray[np.float64]


def _identify(version: Version) -> tuple[object, ...]:
    return version.name, *version.ref.fingerprint


_by_file: Any = partial(
    st.cache_data, max_entries=64, show_spinner=False, hash_funcs={Version: _identify}
)


@_by_file()
def compare(a: Version, b: Version) -> Comparison:
    """Return drift and reasons."""
    return compare_tables(a.table, b.table, names=(a.name, b.name))


@_by_file(show_spinner="Measuring the noise …")
def measure_noise(a: Version, b: Version) -> NoiseTable:
    """Return every cell beside its noise; NaN where a payload has no statistics by image group."""
    extras_a, extras_b = (load_extras(version.ref.path).as_extras() for version in (a, b))
    layers = compare(a, b).layers
    same_images = have_same_images(a.table, b.table)
    return compare_noise(extras_a, extras_b, layers, same_images=same_images)


@_by_file()
def examine_channels(
    a: Version, b: Version, layer: int, representation: Representation, role: TokenRole
) -> CellNoise:
    """Return one cell channel by channel; untested where a payload has no groups."""
    groups_a, groups_b = (
        load_extras(version.ref.path).groups(layer, representation, role) for version in (a, b)
    )
    same_images = have_same_images(a.table, b.table)
    if groups_a is not None and groups_b is not None:
        return compare_groups(groups_a, groups_b, same_images=same_images)
    whole_a, whole_b = (_as_one_group(v, layer, representation, role) for v in (a, b))
    return replace(compare_groups(whole_a, whole_b, same_images=same_images), note=NO_GROUPS)


def _as_one_group(
    version: Version, layer: int, representation: Representation, role: TokenRole
) -> GroupStats:
    mean, std = (
        version.table.get(layer, representation, role, statistic)[None].astype(np.float64)
        for statistic in (Statistic.MEAN, Statistic.STD)
    )
    return GroupStats(np.array([version.table.count(layer, role)]), mean, std)


@_by_file()
def describe(a: Version, b: Version, representation: Representation) -> tuple[Finding, ...]:
    """Return the comparison in sentences."""
    noise = measure_noise(a, b)
    change = find_outlier_change(a.table, b.table, noise.layers, representation)
    return describe_comparison(noise, representation, change, (a.name, b.name))


@_by_file()
def measure_overlap(a: Version, b: Version, score: Score, k: int) -> Floats:
    """Return the Jaccard index of the top k of both, ``[layers, 3, 2]``."""
    return jaccard_over_depth(a.table, b.table, score, k)


@_by_file()
def measure_rank_overlap(a: Version, b: Version, score: Score, k: int) -> Floats:
    """Return the rank-biased overlap of the top k of both, ``[layers, 3, 2]``."""
    return rank_biased_over_depth(a.table, b.table, score, k)


@_by_file(show_spinner="Measuring the noise …")
def measure_group_overlap(a: Version, b: Version, rank_by: RankBy, k: int) -> tuple[Floats, Floats]:
    """Return the overlap of the top k by group statistics, and what it is without a change.

    Returns:
        ``[layers, 3, 2]`` each; NaN where a payload has no statistics by image group.
    """
    layers = compare(a, b).layers
    found, by_chance = np.full((2, len(layers), len(Representation), len(TokenRole)), np.nan)
    extras = [load_extras(version.ref.path).as_extras() for version in (a, b)]
    for index in np.ndindex(found.shape):
        cell = int(layers[index[0]]), tuple(Representation)[index[1]], tuple(TokenRole)[index[2]]
        groups_a, groups_b = (read_groups(part, *cell) for part in extras)
        if groups_a is not None and groups_b is not None:
            overlap = compare_top(groups_a, groups_b, k, rank_by)
            found[index], by_chance[index] = overlap.found, overlap.by_chance
    return found, by_chance


@_by_file()
def follow_drift(versions: tuple[Version, ...]) -> tuple[NDArray[np.int64], Floats]:
    """Return the common layers, and ``[versions, layers, 3, 2]``: the drift from the first."""
    return measure_drift_from_first([version.table for version in versions])
