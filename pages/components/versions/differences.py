"""What differs between versions, computed once for files that stay the same."""

from __future__ import annotations

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from analysis import language
from analysis.language import N_
from analysis.read.compare.comparison import Comparison
from analysis.read.compare.comparison import compare as compare_readings
from analysis.read.compare.findings import Finding, make_scale
from analysis.read.compare.noise import CellNoise
from analysis.read.compare.noise_table import NoiseTable
from analysis.read.compare.overlap import RankBy
from analysis.read.compare.timeline import measure_drift_from_first
from analysis.read.compare.top_channels import rank_biased_over_depth
from analysis.read.outliers import Score
from analysis.vocabulary import Cell, Representation
from pages.components.shared.cache import KEYS, by_file
from pages.components.shared.version import Version

Floats = NDArray[np.float64]


def compare(a: Version, b: Version) -> Comparison:
    """Return the comparison of two versions, shared by all sessions; each part made when asked."""
    return _compare(a, b, language.current())


@st.cache_resource(max_entries=16, show_spinner=False, hash_funcs=KEYS)
def _compare(a: Version, b: Version, spoken: str) -> Comparison:
    del spoken  # part of the key only: what it says stays in the language of its first reader
    return compare_readings(a.reading, b.reading, names=(a.name, b.name))


@by_file(spinner=N_("Measuring the noise …"))
def measure_noise(a: Version, b: Version) -> NoiseTable | None:
    """Return every cell beside its noise; NaN where a payload has no statistics by image group."""
    return compare(a, b).noise


@by_file()
def examine_channels(a: Version, b: Version, cell: Cell) -> CellNoise:
    """Return one cell channel by channel; untested where a payload has no groups."""
    return compare(a, b).examine(cell)


@by_file()
def describe(
    a: Version, b: Version, representation: Representation, negligible: float
) -> tuple[Finding, ...]:
    """Return the comparison in sentences; drifts below `negligible` are called so."""
    return compare(a, b).findings(representation, make_scale(negligible))


@by_file()
def measure_overlap(a: Version, b: Version, score: Score, k: int) -> Floats:
    """Return the Jaccard index of the top k of both, ``[layers, 3, 2]``."""
    return compare(a, b).overlap(score, k)


@by_file()
def measure_rank_overlap(a: Version, b: Version, score: Score, k: int) -> Floats:
    """Return the rank-biased overlap of the top k of both, ``[layers, 3, 2]``."""
    return rank_biased_over_depth(a.table, b.table, score, k)


@by_file(spinner=N_("Measuring the noise …"))
def measure_group_overlap(a: Version, b: Version, rank_by: RankBy, k: int) -> tuple[Floats, Floats]:
    """Return the overlap of the top k by group statistics, and what it is without a change.

    Returns:
        ``[layers, 3, 2]`` each; NaN where a payload has no statistics by image group.
    """
    return compare(a, b).overlap_by_groups(rank_by, k)


@by_file()
def follow_drift(versions: tuple[Version, ...]) -> tuple[NDArray[np.int64], Floats]:
    """Return the common layers, and ``[versions, layers, 3, 2]``: the drift from the first."""
    return measure_drift_from_first([version.table for version in versions])
