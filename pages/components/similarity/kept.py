"""What the page computes, kept by file and choice."""

from __future__ import annotations

import pandas as pd

from analysis.language import N_
from analysis.payload.discovery import PayloadRef
from analysis.payload.features import read_features
from analysis.payload.reading import Reading
from analysis.read.worth import layers, similarity
from analysis.read.worth.grams import LEFT_OUT
from analysis.read.worth.layers import Planes, Ranked, Spectra
from analysis.read.worth.pairs import PairTest, compare_pairs, tabulate_categories
from analysis.read.worth.similarity import Similarity
from analysis.vocabulary import Cell, Representation, TokenRole
from pages.components.shared.cache import by_file


@by_file(spinner=N_("Comparing the images at every layer …"))
def compare(
    ref: PayloadRef,
    reading: Reading,
    other: PayloadRef,
    other_reading: Reading,
    where: tuple[Representation, TokenRole],
    *,
    is_rest: bool,
) -> Similarity:
    """Return every layer of one version against every layer of the other, or of itself."""
    a = read_features(ref.path, reading.table)
    b = None if other.path == ref.path else read_features(other.path, other_reading.table)
    left_out = LEFT_OUT if is_rest else 0
    return similarity.similarity(a, b, representation=where[0], role=where[1], left_out=left_out)


@by_file(spinner=N_("Looking for the directions of every layer …"))
def spectra(ref: PayloadRef, reading: Reading, where: tuple[Representation, TokenRole]) -> Spectra:
    """Return the variance spectrum of every layer."""
    return layers.measure_spectra(read_features(ref.path, reading.table), *where)


@by_file(spinner=N_("Mapping the images at every layer …"))
def planes(ref: PayloadRef, reading: Reading, where: tuple[Representation, TokenRole]) -> Planes:
    """Return the map of the images at every layer."""
    return layers.measure_planes(read_features(ref.path, reading.table), *where)


@by_file()
def moved(
    ref: PayloadRef, reading: Reading, other: PayloadRef, other_reading: Reading, cell: Cell
) -> Ranked:
    """Return how far each image moved from the other version."""
    after = read_features(ref.path, reading.table)
    return layers.rank_by_movement(read_features(other.path, other_reading.table), after, cell)


@by_file()
def apart(ref: PayloadRef, reading: Reading, cell: Cell) -> Ranked:
    """Return how far each image is from its nearest neighbours."""
    return layers.rank_by_isolation(read_features(ref.path, reading.table), cell)


@by_file()
def pairs(
    ref: PayloadRef, reading: Reading, other: PayloadRef, other_reading: Reading, cell: Cell
) -> PairTest:
    """Return which channels moved from the other version, by pairs of images."""
    after = read_features(ref.path, reading.table)
    return compare_pairs(read_features(other.path, other_reading.table), after, cell)


@by_file()
def categories(ref: PayloadRef, reading: Reading, cell: Cell, column: str) -> pd.DataFrame:
    """Return how the images of each category stand apart."""
    return tabulate_categories(read_features(ref.path, reading.table), cell, column)
