"""Probes through depth: one representation and role at a time, kept by file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import streamlit as st

from analysis.payload.discovery import PayloadRef
from analysis.payload.features import Features, read_features
from analysis.payload.reading import Reading
from analysis.read.worth.probe import Probe, merge, probe
from analysis.show.views import targets as views
from analysis.vocabulary import REPRESENTATIONS, ROLES, Cell, Representation, TokenRole
from pages.components.shared import downloads
from pages.components.shared.cache import by_file
from pages.components.shared.text import plain
from pages.components.shared.version import Version


def open_features(version: Version) -> Features:
    """Return the vectors beside a payload.

    Raises:
        PayloadError: If there are none, or those of another payload; says what to do.
    """
    return read_features(version.ref.path, version.table)


@by_file()
def probe_curve(
    ref: PayloadRef,
    reading: Reading,
    target: str,
    group: str | None,
    where: tuple[Representation, TokenRole],
    *,
    standardize: bool,
) -> Probe:
    """Return the probe of every layer in one representation and role."""
    features = read_features(ref.path, reading.table)
    cells = [Cell(int(layer), *where) for layer in reading.table.layers]
    return probe(features, target, group=group, cells=cells, standardize=standardize)


def show(
    versions: Sequence[Version],
    target: str,
    group: str | None,
    where: tuple[Representation, TokenRole],
    *,
    standardize: bool,
) -> None:
    """Show the chosen curve of every version first, then all cells of the first version."""
    mode, first = downloads.mode(), versions[0]
    sentences, figure = st.container(), st.container()
    kinds = [where, *(kind for kind in product(REPRESENTATIONS, ROLES) if kind != where)]
    total = len(versions) + len(kinds) - 1
    line = st.progress(0.0, "Probing …")
    curves = {}
    for done, version in enumerate(versions):
        line.progress(done / total, f"Probing {plain(version.name)} …")
        curves[version.name] = probe_curve(
            version.ref, version.reading, target, group, where, standardize=standardize
        )
    with figure:
        downloads.show(views.versions_over_depth(first.table, curves, mode))
    parts = [curves[first.name]]
    for done, kind in enumerate(kinds[1:], start=len(versions)):
        line.progress(done / total, "Probing the other representations and roles …")
        parts.append(
            probe_curve(first.ref, first.reading, target, group, kind, standardize=standardize)
        )
    line.empty()
    whole = merge(parts)
    downloads.show(views.cells_over_depth(first.table, first.name, whole, mode))
    with sentences:
        for sentence in views.find_sentences(whole):
            st.markdown(plain(sentence))
        for version in versions[1:]:
            names = first.name, version.name
            st.markdown(plain(views.compare_sentence(parts[0], curves[version.name], names)))
