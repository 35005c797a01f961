"""The four views of the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from analysis.errors import InputError
from analysis.language import _
from analysis.payload.features import Features
from analysis.read.worth.layers import Ranked
from analysis.show.views import similarity as views
from analysis.show.views import single_images
from analysis.vocabulary import Cell, Representation, TokenRole
from pages.components.shared import downloads, selection
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
    mode = downloads.mode()
    downloads.show(views.layers_against_layers(tables, names, where, found, mode))
    for sentence in views.find_sentences(tables, names, found):
        st.markdown(plain(sentence))
    downloads.show(views.same_layer(tables, names, where, found, mode))


def show_images(version: Version, features: Features, other: Version, cell: Cell) -> None:
    """Show the images that moved from the other version, and those far from all others."""
    problems: list[str | None] = []
    if other is not version:
        sources = version.ref, version.reading, other.ref, other.reading
        try:
            ranked, pairs = kept.moved(*sources, cell), kept.pairs(*sources, cell)
            st.markdown(plain(single_images.pairs_sentence(pairs, (version.name, other.name))))
            problems.append(_show_ranked(version, features, cell, ranked, other.name))
        except InputError as error:
            st.info(plain(str(error)), icon=":material/info:")
    ranked = kept.apart(version.ref, version.reading, cell)
    problems.append(_show_ranked(version, features, cell, ranked, None))
    _offer_folder(problems)


def show_map(version: Version, features: Features, cell: Cell) -> None:
    """Show the map of the images at a layer, coloured by a column; a click shows the photograph."""
    left, right = st.columns([3, 1])
    columns = [NO_COLOR, *features.targets, *features.categories]
    with right:
        color = selection.choose(
            "color",
            _("Colour"),
            columns,
            default=columns[min(1, len(columns) - 1)],
            format_func=lambda name: _("none") if name == NO_COLOR else name,
            menu_width=240,
        )
    target = None if color == NO_COLOR else color
    with left:
        planes = kept.planes(version.ref, version.reading, cell[1:])
        view = single_images.map_of_images(
            features, version.name, cell, planes, target, downloads.mode()
        )
        clicked = downloads.show(view)
    with right:
        if clicked is None:
            st.caption(_("Click a point to see its image."))
        else:
            _offer_folder([_show_clicked(version, features, clicked, view.name)])
    if target is not None and target in features.categories:
        frame = kept.categories(version.ref, version.reading, cell, target)
        view = single_images.categories(version.name, cell, target, frame)
        downloads.show(view)
        st.dataframe(view.tabulate(), hide_index=True, key="categories")


def show_directions(version: Version, cell: Cell) -> None:
    """Show how many directions the images take, over depth and at one layer."""
    spectra = kept.spectra(version.ref, version.reading, cell[1:])
    mode = downloads.mode()
    downloads.show(views.ranks_over_depth(version.table, version.name, cell[1:], spectra, mode))
    downloads.show(views.spectrum_of_layer(version.table, version.name, cell, spectra, mode))


def _show_ranked(
    version: Version, features: Features, cell: Cell, ranked: Ranked, baseline: str | None
) -> str | None:
    mode = downloads.mode()
    view = single_images.ranked_images(features, version.name, cell, ranked, baseline, mode)
    clicked = downloads.show(view)
    first = ranked.images[ranked.order[: single_images.STRIP]]
    values = ranked.values[ranked.order[: single_images.STRIP]]
    lines = [
        f"**{value:.2f}**  \n{_describe(features, place)}"
        for place, value in zip(first.tolist(), values.tolist(), strict=True)
    ]
    problem = _show_strip(version, features, first.tolist(), lines, view.name)
    if clicked is not None and clicked not in features.images[first]:
        problem = _show_clicked(version, features, clicked, view.name) or problem
    return problem


def _show_clicked(version: Version, features: Features, image: int, name: str) -> str | None:
    found = np.flatnonzero(features.images == image)
    if not len(found):
        return None
    place = int(found[0])
    line = _describe(features, place)
    return _show_strip(version, features, [place], [line], f"{name}, clicked")


def _show_strip(
    version: Version, features: Features, places: Sequence[int], lines: Sequence[str], name: str
) -> str | None:
    paths = [features.paths[place] if features.paths else "" for place in places]
    images = [int(features.images[place]) for place in places]
    return photographs.show_strip(version, images, paths, lines, name)


def _offer_folder(problems: Sequence[str | None]) -> None:
    problem = next((problem for problem in problems if problem), None)
    if problem is not None:
        photographs.choose_folder(problem)


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
