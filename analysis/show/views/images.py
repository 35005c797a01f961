"""What Images draws: maps of a channel over the patch grid, of the data set and of one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.language import _
from analysis.payload.extras import Floats
from analysis.read.places.footprint import describe_spread, measure_spread
from analysis.show.figures.footprints import COLUMNS, build_footprint_map, build_footprint_multiples
from analysis.show.figures.maps import MapPanel, build_map_animation, build_prefix_curves
from analysis.show.figures.theme import Mode, describe_unit
from analysis.show.view import View, describe_one
from analysis.vocabulary import Representation

ROWS_EACH = 8
"""Lines of text that a row of small maps is as high as."""

ROWS_OF_SQUARE = 64
"""Lines of text that one square map over the whole width is as high as."""


def footprint(
    layer: int, channel: int, mean_abs: Floats, images: int, name: str, mode: Mode = "light"
) -> View:
    """Return where in the pictures one channel of a layer is large.

    Args:
        layer: Which.
        channel: Which.
        mean_abs: ``[rows, columns]``, mean |x| of the block output; NaN where not counted.
        images: Whose mean it is.
        name: Of the version.
        mode: Light or dark.
    """
    unit = describe_unit(Representation.PRE)
    spread = measure_spread(mean_abs)
    words = [] if spread is None else [describe_spread(spread)]
    if np.isfinite(mean_abs).any():
        words.append(_describe_span(mean_abs, images))
    return View(
        _("Layer {layer}: where channel {channel} is large").format(layer=layer, channel=channel),
        "footprint",
        build_footprint_map(
            mean_abs, value_label=_("mean |x|, {unit}").format(unit=unit), mode=mode
        ),
        lambda: _tabulate(np.array([channel]), mean_abs[None]),
        caption=" ".join(words),
        **describe_one(name),
    )


def footprints(
    layer: int,
    channels: NDArray[np.integer],
    maps: Floats,
    name: str,
    *,
    selected: int | None = None,
    mode: Mode = "light",
) -> View:
    """Return where in the pictures the largest channels of a layer are large.

    Args:
        layer: Which.
        channels: ``[K]``: which channels.
        maps: ``[K, rows, columns]``, mean |x| of the block output; NaN where not counted.
        name: Of the version.
        selected: The channel that is set off; None for none.
        mode: Light or dark.
    """
    return View(
        _("Where the largest channels of layer {layer} are large, mean |x|").format(layer=layer),
        "footprints of the layer",
        build_footprint_multiples(channels, maps, selected=selected, mode=mode),
        lambda: _tabulate(channels, maps),
        rows=ROWS_EACH * -(-len(channels) // COLUMNS),
        **describe_one(name),
    )


def token_maps(
    panels: Sequence[MapPanel],
    grid: tuple[int, int],
    photograph: bytes,
    title: str,
    name: str,
    *,
    layers: int,
    first: int,
    value_label: str = "",
    signed: bool = False,
    words: Sequence[str] = (),
    mode: Mode = "light",
) -> View:
    """Return one picture's patch tokens as maps, one frame per layer.

    Args:
        panels: What is drawn, one map for each way that the network ran.
        grid: Rows and columns of patches.
        photograph: The picture as the network saw it, JPEG.
        title: What the maps are of.
        name: Of the version.
        layers: How many there are.
        first: The layer that is shown first.
        value_label: What is coloured, with unit.
        signed: Whether the colours span either side of the median.
        words: Sentences below the figure.
        mode: Light or dark.
    """
    return View(
        title,
        "maps",
        build_map_animation(
            panels,
            np.arange(layers),
            grid,
            photograph=photograph,
            value_label=value_label,
            first=first,
            signed=signed,
            mode=mode,
        ),
        rows=round(ROWS_OF_SQUARE / len(panels) * grid[0] / grid[1]),
        caption=" ".join(words),
        **describe_one(name),
    )


def prefix_tokens(
    values: Sequence[NDArray[np.floating]],
    labels: Sequence[str],
    name: str,
    *,
    value_label: str,
    mode: Mode = "light",
) -> View:
    """Return CLS and the registers of one picture over depth.

    Args:
        values: ``[layers, tokens]`` for each way that the network ran.
        labels: One for each.
        name: Of the version.
        value_label: What the values are, with unit.
        mode: Light or dark.
    """
    layers = np.arange(len(values[0]))
    return View(
        _("In the tokens without a place"),
        "registers",
        build_prefix_curves(values, labels, layers, value_label=value_label, mode=mode),
        **describe_one(name),
    )


def _describe_span(values: Floats, images: int) -> str:
    sentence = _(
        "Mean |x| of the block output over {images} images. Colours span "
        "this channel's own values, {values:.4g} to {values_2:.4g}."
    ).format(images=images, values=np.nanmin(values), values_2=np.nanmax(values))
    missing = int(np.isnan(values).sum())
    return (
        _("{sentence} {missing} patches were not counted.").format(
            sentence=sentence, missing=missing
        )
        if missing
        else sentence
    )


def _tabulate(channels: NDArray[np.integer], maps: Floats) -> pd.DataFrame:
    channel, row, column = np.indices(maps.shape).reshape(3, -1)
    return pd.DataFrame(
        {
            "channel": channels[channel],
            "row": row,
            "column": column,
            "mean_abs": maps.reshape(-1),
        }
    )
