"""The four views of the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from analysis.errors import InputError
from analysis.payload.features import Features
from analysis.read.worth.layers import Ranked
from analysis.show.views import similarity as views
from analysis.vocabulary import Cell, Representation, TokenRole
from pages.components.shared import controls, downloads, selection
from pages.components.shared.text import plain
from pages.components.shared.version import Version
from pages.components.similarity import kept, photographs

Where = tuple[Representation, TokenRole]
NO_COLOR = "none"
LINES = 5
"""Columns that are told below a photograph."""


def show_layers(version: Version, other: Version, where: Where) -> None:
    """Show layers against layers, and each against its counterpart."""
    sources = version.ref, version.reading, other.ref, other.reading
    found = (
        kept.compare(*sources, where, is_rest=False),
        kept.compare(*sources, where, is_rest=True),
    )
    tables, names = (version.table, other.table), (version.name, other.name)
    for sentence in views.find_sentences(tables, names, found):
        st.markdown(plain(sentence))
    mode = downloads.mode()
    downloads.show(views.layers_against_layers(tables, names, where, found, mode))
    downloads.show(views.same_layer(tables, names, where, found, mode))


def show_images(version: Version, features: Features, other: Version, where: Where) -> None:
    """Show the images that moved from the other version, and those far from all others."""
    cell = Cell(controls.choose_layer(version.table), *where)
    if other is not version:
        try:
            ranked = kept.moved(version.ref, version.reading, other.ref, other.reading, cell)
            _show_ranked(version, features, cell, ranked, other.name)
        except InputError as error:
            st.info(plain(str(error)), icon=":material/info:")
    _show_ranked(version, features, cell, kept.apart(version.ref, version.reading, cell), None)


def show_map(version: Version, features: Features, where: Where) -> None:
    """Show the map of the images at a layer, coloured by a column; a click shows the photograph."""
    columns = [NO_COLOR, *features.targets, *features.categories]
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        color = selection.choose(
            "color", "Colour", columns, default=columns[min(1, len(columns) - 1)], menu_width=240
        )
        layer = controls.choose_layer(version.table)
    planes = kept.planes(version.ref, version.reading, where)
    target = None if color == NO_COLOR else color
    cell = Cell(layer, *where)
    left, right = st.columns([3, 1])
    with left:
        view = views.map_of_images(features, version.name, cell, planes, target, downloads.mode())
        clicked = downloads.show(view)
    with right:
        if clicked is None:
            st.caption("Click a point to see its image.")
        else:
            _show_clicked(version, features, clicked)


def show_directions(version: Version, where: Where) -> None:
    """Show how many directions the images take, over depth and at one layer."""
    spectra = kept.spectra(version.ref, version.reading, where)
    mode = downloads.mode()
    downloads.show(views.ranks_over_depth(version.table, version.name, where, spectra, mode))
    cell = Cell(controls.choose_layer(version.table), *where)
    downloads.show(views.spectrum_of_layer(version.table, version.name, cell, spectra, mode))


def _show_ranked(
    version: Version, features: Features, cell: Cell, ranked: Ranked, baseline: str | None
) -> None:
    mode = downloads.mode()
    view = views.ranked_images(features, version.name, cell, ranked, baseline, mode)
    clicked = downloads.show(view)
    first = ranked.images[ranked.order[: views.STRIP]]
    values = ranked.values[ranked.order[: views.STRIP]]
    lines = [
        f"**{value:.2f}**  \n{_describe(features, place)}"
        for place, value in zip(first.tolist(), values.tolist(), strict=True)
    ]
    _show_strip(version, features, first.tolist(), lines, view.name)
    if clicked is not None and clicked not in features.images[first]:
        _show_clicked(version, features, clicked)


def _show_clicked(version: Version, features: Features, image: int) -> None:
    found = np.flatnonzero(features.images == image)
    if len(found):
        place = int(found[0])
        _show_strip(version, features, [place], [_describe(features, place)], f"clicked {image}")


def _show_strip(
    version: Version, features: Features, places: Sequence[int], lines: Sequence[str], name: str
) -> None:
    paths = [features.paths[place] if features.paths else "" for place in places]
    images = [int(features.images[place]) for place in places]
    photographs.show_strip(version, images, paths, lines, name)


def _describe(features: Features, place: int) -> str:
    """Return the first targets and categories of an image, a line of Markdown for each."""
    numbers = {
        name: f"{values[place]:.4g}"
        for name, values in features.targets.items()
        if np.isfinite(values[place])
    }
    texts = {name: str(values[place]) for name, values in features.categories.items()}
    described = [f"{plain(name)} {plain(text)}" for name, text in (numbers | texts).items()]
    return "  \n".join(described[:LINES])
