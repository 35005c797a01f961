"""Probes through depth: one representation and role at a time, kept by file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import product

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.errors import InputError
from analysis.language import _
from analysis.payload.discovery import PayloadRef
from analysis.payload.features import read_features
from analysis.payload.reading import Reading
from analysis.read.worth.probe import Probe, merge, probe
from analysis.show.view import View
from analysis.show.views import targets as views
from analysis.vocabulary import REPRESENTATIONS, ROLES, Cell, Representation, TokenRole
from pages.components.shared import colors, downloads, present
from pages.components.shared.cache import by_file
from pages.components.shared.text import plain
from pages.components.shared.version import Version

MOST_BYTES = 2**28
"""A larger file is not sent through the browser."""

PATIENCE_SECONDS = 0.5
"""A figure of some of the curves is drawn where the next one is still to come after this."""


@by_file()
def probe_curve(
    ref: PayloadRef,
    reading: Reading,
    target: str,
    group: str | None,
    where: tuple[Representation, TokenRole],
    *,
    normalized: bool,
) -> Probe:
    """Return the probe of every layer in one representation and role."""
    features = read_features(ref.path, reading.table)
    cells = [Cell(int(layer), *where) for layer in reading.table.layers]
    return probe(features, target, group=group, cells=cells, normalized=normalized)


def show(
    versions: Sequence[Version],
    target: str,
    group: str | None,
    where: tuple[Representation, TokenRole],
    *,
    normalized: bool,
) -> None:
    """Show the chosen curve of every version first, then all cells of the first version."""
    mode, first = downloads.mode(), versions[0]
    slots = dict(zip([v.name for v in versions], colors.choose_slots(versions), strict=True))
    figure, sentences = st.empty(), st.container()
    kinds = [where, *(kind for kind in product(REPRESENTATIONS, ROLES) if kind != where)]
    total = len(versions) * (1 + normalized) + len(kinds) - 1
    line = st.progress(0.0, _("Probing …"))
    done, start = 0, time.monotonic()

    def run(version: Version, kind: tuple[Representation, TokenRole], *, scaled: bool) -> Probe:
        nonlocal done
        line.progress(done / total, _("Probing {name} …").format(name=plain(version.name)))
        done += 1
        return probe_curve(version.ref, version.reading, target, group, kind, normalized=scaled)

    curves, scaled, absent = {}, {}, []
    for version in versions:
        try:
            curves[version.name] = run(version, where, scaled=False)
            if normalized:
                scaled[version.name] = run(version, where, scaled=True)
        except InputError as error:
            if version is first:
                line.empty()
                raise
            absent.append(_("{name} is not drawn. {error}").format(name=version.name, error=error))
        if version is not versions[-1] and time.monotonic() - start > PATIENCE_SECONDS:
            so_far = views.versions_over_depth(first.table, curves, scaled or None, slots, mode)
            _draw_so_far(figure, so_far, len(curves))
    with figure.container():
        downloads.show(views.versions_over_depth(first.table, curves, scaled or None, slots, mode))
        head = views.head_layers(first.table, first.name, mode)
        if head is not None:
            downloads.show(head)
        for sentence in absent:
            st.info(plain(sentence), icon=":material/info:")
    parts = [curves[first.name]]
    parts += [run(first, kind, scaled=False) for kind in kinds[1:]]
    line.empty()
    whole = merge(parts)
    downloads.show(views.cells_over_depth(first.table, first.name, whole, mode))
    with sentences:
        for sentence in views.find_sentences(whole):
            st.markdown(plain(sentence))
        for name in [name for name in curves if name != first.name]:
            try:
                sentence = views.compare_sentence(parts[0], curves[name], (first.name, name))
            except InputError as error:
                sentence = _("{name} and {name_2}: {error}").format(
                    name=first.name, name_2=name, error=error
                )
            st.markdown(plain(sentence))
        for name, other in scaled.items():
            st.markdown(plain(views.normalize_sentence(curves[name], other, name)))


def _draw_so_far(place: DeltaGenerator, view: View, number: int) -> None:
    """Draw the curves that are known, without the menu of files, until all are."""
    if present.is_on() or view.figure is None:
        return
    view.figure.layout.height = view.height
    with place.container():
        st.header(plain(view.title), anchor=False)
        st.plotly_chart(view.figure, key=f"the first {number} curves", theme=None)


def offer_vectors(version: Version, cell: Cell) -> None:
    """Show the menu of files of the vectors of a cell, and of the file with all of them."""
    features = read_features(version.ref.path, version.table)
    downloads.show(views.vectors_of_cell(features, version.name, cell))
    if features.path.stat().st_size <= MOST_BYTES:
        st.download_button(
            _("All layers (safetensors)"),
            data=features.content,
            file_name=features.path.name,
            mime="application/octet-stream",
            key="features file",
            on_click="ignore",
            icon=":material/download:",
            help=_("The file beside the payload; `analysis.read_features` reads the two together."),
        )
