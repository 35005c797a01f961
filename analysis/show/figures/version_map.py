"""Versions by layers: how far each moved from the baseline, at one look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import _
from analysis.payload.discovery import measure_common_start
from analysis.show.figures import theme
from analysis.show.figures.grid import draw_magnitudes
from analysis.show.figures.theme import Mode

MAX_LABEL = 32
"""Letters of a version beside its row; hover shows all of them."""

SHARED = 6
"""Letters that all versions must share to be left out."""


def build_version_map(
    layers: NDArray[np.integer],
    values: NDArray[np.floating],
    facts: NDArray[np.floating],
    names: Sequence[str],
    *,
    label: str,
    mode: Mode = "light",
) -> go.Figure:
    """Draw one row of cells per version, from the top down.

    A click on a cell gives its number, counted along the rows, as the first of its `customdata`.

    Args:
        layers: ``[layers]``.
        values: ``[versions, layers]``: what is coloured; cells of 0 and NaN stay empty.
        facts: ``[versions, layers, 2]``: drift and noise floor, for the hover.
        names: Of the versions.
        label: What is coloured, for the colour bar.
        mode: Light or dark.
    """
    rows = np.arange(len(names), dtype=np.int32)
    finite = values[np.isfinite(values)]
    shown = np.where(np.isposinf(values), finite.max(initial=1.0), values)
    cells = draw_magnitudes(
        np.nan_to_num(shown, nan=0.0),
        mode,
        x=layers,
        y=rows,
        label=label,
        # the palest colours would look like an empty cell
        colorscale=theme.magnitude_scale(mode, points=True),
        hoverinfo="skip",
    )
    del cells["hovertemplate"]  # else it is shown all the same, with logarithms
    numbers = np.arange(values.size, dtype=np.float32).reshape(values.shape)
    marks = [
        {
            "type": "scatter",
            "x": layers,
            "y": np.full(len(layers), row, dtype=np.int32),
            "customdata": theme.as_float32(np.column_stack([numbers[row], facts[row]])),
            "mode": "markers",
            "name": name,
            "showlegend": False,
            # the cells themselves report no clicks
            "marker": {"opacity": 0, "size": 14, "symbol": "square"},
            "selected": {"marker": {"opacity": 0}},
            "unselected": {"marker": {"opacity": 0}},
            "hovertemplate": _(
                "{name}, layer %{{x:d}}<br>drift %{{customdata[1]:.3g}}, chance "
                "alone %{{customdata[2]:.3g}}<extra></extra>"
            ).format(name=theme.escape(name)),
        }
        for row, name in enumerate(names)
    ]
    layout = {
        "hovermode": "closest",
        "hoverdistance": -1,  # the whole cell belongs to its mark
        "margin": {"l": 8, "r": 8, "t": 12, "b": 8},
        "xaxis": {
            "title": {"text": _("layer")},
            "range": [float(np.min(layers)) - 0.5, float(np.max(layers)) + 0.5],
            "showgrid": False,
        },
        "yaxis": {
            "tickmode": "array",
            "tickvals": rows,
            "ticktext": [theme.escape(name) for name in tell_apart(names)],
            "range": [len(names) - 0.5, -0.5],
            "showgrid": False,
        },
        "uirevision": "version map",
    }
    return theme.make_figure([cells, *marks], layout, mode)


def tell_apart(names: Sequence[str]) -> list[str]:
    """Return names without the start and the end that all share, up to separators.

    What is long all the same is cut in its middle, unless it would be like another.
    """
    start = _measure_start(names)
    rest = [name[start:] for name in names]
    end = _measure_start([name[::-1] for name in rest])
    kept = [f"{'…' if start else ''}{name[: len(name) - end]}{'…' if end else ''}" for name in rest]
    short = [_cut(name) for name in kept]
    return [name if short.count(cut) > 1 else cut for name, cut in zip(kept, short, strict=True)]


def _measure_start(names: Sequence[str]) -> int:
    """Return how many letters all names begin with, up to a separator; 0 where they are few."""
    start = measure_common_start(names) if len(set(names)) > 1 else 0
    return start if start >= SHARED and all(len(name) > start for name in names) else 0


def _cut(name: str) -> str:
    if len(name) <= MAX_LABEL:
        return name
    half = (MAX_LABEL - 1) // 2
    return f"{name[:half]}…{name[-half:]}"
