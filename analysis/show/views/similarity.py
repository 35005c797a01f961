"""How alike the layers of two versions are for the same images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.language import N_, _
from analysis.payload.table import StatsTable
from analysis.read.worth.grams import LEFT_OUT
from analysis.read.worth.layers import Spectra
from analysis.read.worth.similarity import Similarity
from analysis.show.figures import similarity as figures
from analysis.show.figures import theme
from analysis.show.figures.depth import DepthLine, draw_over_depth
from analysis.show.figures.similarity import LayerPanel
from analysis.show.figures.theme import Mode, describe_cell
from analysis.show.view import View, describe_one, describe_versions
from analysis.vocabulary import Cell, Representation, TokenRole

Where = tuple[Representation, TokenRole]

WHOLE = N_("CKA, all channels")
REST = N_("CKA without the {left_out} largest channels")
OVERLAP = N_("nearest neighbours in common")


def layers_against_layers(
    tables: tuple[StatsTable, StatsTable],
    names: tuple[str, str],
    where: Where,
    found: tuple[Similarity, Similarity],
    mode: Mode = "light",
) -> View:
    """Return every layer of A against every layer of B.

    Args:
        tables: Of A and B; twice the same for a version against itself.
        names: Of A and B.
        where: Representation and role.
        found: Of all channels, and without the largest.
        mode: Light or dark.
    """
    whole, rest = found
    layers = tables[0].layers, tables[1].layers
    without = _(REST).format(left_out=LEFT_OUT)
    panels = [
        LayerPanel(_(WHOLE), whole.cka, whole.error),
        LayerPanel(without, rest.cka, rest.error),
        LayerPanel(_(OVERLAP), whole.overlap),
    ]
    return View(
        _("Layers against layers, {cell} tokens").format(cell=describe_cell(*where)),
        "layers against layers",
        figures.build_layer_panels(panels, layers, names, mode),
        lambda: _tabulate(layers, found),
        caption=_(
            "1: the same images are alike and unlike. CKA is debiased, so "
            "about 0 where nothing is shared; ± is its standard error over "
            "random halves of the {images} images. Of the nearest neighbours, "
            "chance leaves {chance:.2f} in common."
        ).format(images=whole.images, chance=whole.chance),
        **describe_versions(names),
    )


def same_layer(
    tables: tuple[StatsTable, StatsTable],
    names: tuple[str, str],
    where: Where,
    found: tuple[Similarity, Similarity],
    mode: Mode = "light",
) -> View:
    """Return each layer of A against the same one of B, or of one version the one before.

    The arguments are those of `layers_against_layers`.
    """
    whole, rest = found
    without = _(REST).format(left_out=LEFT_OUT)
    layers, rows, columns = _pair_layers(tables, names)
    lines = [
        DepthLine(
            layers,
            values,
            name,
            theme.version_color(place, mode),
            dash=("solid", "dash", "dot")[place],
            keys={} if errors is None else {"error_y": _bars(errors)},
        )
        for place, (name, values, errors) in enumerate(
            [
                (_(WHOLE), whole.cka[rows, columns], whole.error[rows, columns]),
                (without, rest.cka[rows, columns], rest.error[rows, columns]),
                (_(OVERLAP), whole.overlap[rows, columns], None),
            ]
        )
    ]
    itself = names[0] == names[1]
    return View(
        _("Each layer against the one before")
        if itself
        else _("Each layer against its counterpart"),
        "similarity over depth",
        draw_over_depth(
            lines,
            height={"title": {"text": _("similarity")}},
            levels=[whole.chance],
            tapped=tables[0].tapped_layers,
            revision="similarity",
            mode=mode,
            empty=_("There is only one layer.")
            if itself
            else _("The two versions share no layer."),
        ),
        lambda: pd.DataFrame({"layer": layers, **{line.name: line.values for line in lines}}),
        caption=_(
            "{cell} tokens. Bars: standard error over random halves of the "
            "images. Dashed: nearest neighbours that chance has in common."
        ).format(cell=describe_cell(*where).capitalize()),
        **describe_versions(names),
    )


def find_sentences(
    tables: tuple[StatsTable, StatsTable],
    names: tuple[str, str],
    found: tuple[Similarity, Similarity],
) -> list[str]:
    """Return what the similarity of layers says, each number with its standard error."""
    whole, rest = found
    layers, rows, columns = _pair_layers(tables, names)
    sentences = []
    values = whole.cka[rows, columns]
    if np.isfinite(values).any():
        place = int(np.nanargmin(values))
        at = rows[place], columns[place]
        what = (
            _("The largest step of {names_1} is from layer {layers} to {layers_2}").format(
                names_1=names[0], layers=tables[0].layers[at[0]], layers_2=layers[place]
            )
            if names[0] == names[1]
            else _("{names_1} and {names_2} are least alike at layer {layers}").format(
                names_1=names[0], names_2=names[1], layers=layers[place]
            )
        )
        sentences.append(
            _(
                "{what}: CKA {number}, without the {left_out} largest channels "
                "{number_2}; {overlap:.0%} of the nearest neighbours are the same "
                "(chance {chance:.0%})."
            ).format(
                what=what,
                number=_number(whole, at),
                left_out=LEFT_OUT,
                number_2=_number(rest, at),
                overlap=whole.overlap[at],
                chance=whole.chance,
            )
        )
    tapped = [tables[0].position(layer) for layer in tables[0].tapped_layers]
    if names[0] == names[1] and len(tapped) > 1:
        pairs = [(a, b) for n, a in enumerate(tapped) for b in tapped[n + 1 :]]
        known = [pair for pair in pairs if np.isfinite(rest.cka[pair])]
        if known:
            at = max(known, key=lambda pair: rest.cka[pair])
            first, second = (int(tables[0].layers[n]) for n in at)
            sentences.append(
                _(
                    "Of the tapped layers, {first} and {second} repeat each other "
                    "most: CKA {number}, without the {left_out} largest channels "
                    "{number_2}."
                ).format(
                    first=first,
                    second=second,
                    number=_number(whole, at),
                    left_out=LEFT_OUT,
                    number_2=_number(rest, at),
                )
            )
    return sentences


def ranks_over_depth(
    table: StatsTable, name: str, where: Where, spectra: Spectra, mode: Mode = "light"
) -> View:
    """Return how many directions the images take at every layer."""
    named = dict(zip(_spectrum_names(), spectra.ranks, strict=True))
    lines = [
        DepthLine(
            table.layers,
            ranks,
            label,
            theme.version_color(place, mode),
            dash=("solid", "dash")[place],
        )
        for place, (label, ranks) in enumerate(named.items())
    ]
    return View(
        _("Effective rank, {cell} tokens").format(cell=describe_cell(*where)),
        "effective rank",
        draw_over_depth(
            lines,
            height={"title": {"text": _("effective rank")}, "rangemode": "tozero"},
            tapped=table.tapped_layers,
            revision="effective rank",
            mode=mode,
        ),
        lambda: pd.DataFrame({"layer": table.layers, **named}),
        caption=_(
            "In how many directions the {images} images differ: exp of the "
            "entropy of the shares of variance. It cannot exceed the number of "
            "images less one."
        ).format(images=spectra.images),
        **describe_one(name),
    )


def spectrum_of_layer(
    table: StatsTable, name: str, cell: Cell, spectra: Spectra, mode: Mode = "light"
) -> View:
    """Return how the variance between images is spread over directions at one layer."""
    place = table.position(cell.layer)
    parts = dict(zip(_spectrum_names(), (spectra.whole[place], spectra.rest[place]), strict=True))
    return View(
        _("Variance spectrum, {channels}").format(channels=theme.describe_channels(cell)),
        "variance spectrum",
        figures.build_spectrum(parts, mode),
        lambda: pd.DataFrame({"component": range(1, len(spectra.whole[place]) + 1), **parts}),
        caption=_(
            "A steep start means that a few directions, often massive "
            "channels, hold most of what tells the images apart."
        ),
        **describe_one(name),
    )


def _pair_layers(
    tables: tuple[StatsTable, StatsTable], names: tuple[str, str]
) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.intp]]:
    """Return layers and where they stand in A and B; of one version, the layer before in A."""
    a, b = (table.layers for table in tables)
    if names[0] == names[1]:
        places = np.arange(1, len(a))
        return a[1:], places - 1, places
    common, rows, columns = np.intersect1d(a, b, return_indices=True)
    return common, rows, columns


def _tabulate(
    layers: tuple[NDArray[np.int64], NDArray[np.int64]], found: Sequence[Similarity]
) -> pd.DataFrame:
    whole, rest = found
    down, across = np.meshgrid(*layers, indexing="ij")
    return pd.DataFrame(
        {
            "layer": down.ravel(),
            "other_layer": across.ravel(),
            "cka": whole.cka.ravel(),
            "cka_standard_error": whole.error.ravel(),
            "cka_rest": rest.cka.ravel(),
            "cka_rest_standard_error": rest.error.ravel(),
            "neighbour_overlap": whole.overlap.ravel(),
        }
    )


def _number(similarity: Similarity, at: tuple[int, int]) -> str:
    return f"{similarity.cka[at]:.2f} ± {similarity.error[at]:.2f}"


def _bars(errors: NDArray[np.floating]) -> dict[str, object]:
    return {"type": "data", "array": theme.as_float32(errors), "thickness": 1, "width": 2}


def _spectrum_names() -> tuple[str, str]:
    return _("all channels"), _("without the {left_out} largest").format(left_out=LEFT_OUT)
