"""The figure of a map: a value for each cell of a grid, as its colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.language import _
from analysis.show.figures import axes, theme
from analysis.show.figures.theme import Mode


def draw_grid(
    z: NDArray[np.floating],
    mode: Mode,
    *,
    x: NDArray[np.number] | None = None,
    y: NDArray[np.number] | None = None,
    **keys: Any,
) -> dict[str, Any]:
    """Return a trace of cells.

    Args:
        z: ``[rows, columns]``: what is coloured; NaN stays empty.
        mode: Light or dark.
        x: ``[columns]``; 0, 1, ... where None.
        y: ``[rows]``; 0, 1, ... where None.
        **keys: Keys of the trace that replace those of every map.
    """
    return {
        "type": "heatmap",
        "x": np.arange(z.shape[1], dtype=np.int32) if x is None else x,
        "y": np.arange(z.shape[0], dtype=np.int32) if y is None else y,
        "z": theme.as_float32(z),
        "colorscale": theme.magnitude_scale(mode),
        "hoverongaps": False,
        "hovertemplate": _("row %{y:d}, column %{x:d}: %{z:.4g}<extra></extra>"),
        **keys,
    }


def draw_magnitudes(
    values: NDArray[np.floating],
    mode: Mode,
    *,
    x: NDArray[np.number],
    y: NDArray[np.number],
    label: str,
    **keys: Any,
) -> dict[str, Any]:
    """Return a trace of cells with logarithmic colours.

    Args:
        values: ``[rows, columns]``, 0 or more; cells of 0 stay empty.
        mode: Light or dark.
        x: ``[columns]``.
        y: ``[rows]``.
        label: Title of the colour bar, with unit.
        **keys: Keys of the trace that replace those of every map.
    """
    logs = np.log10(np.where(values > 0, values, np.nan)).astype(np.float32)
    return draw_grid(logs, mode, x=x, y=y, colorbar=axes.magnitude_bar(logs, label), **keys)


def patch_axes(
    place: int, grid: Sequence[int], domain: Sequence[float], height: Sequence[float] = (0, 1)
) -> dict[str, Any]:
    """Return the axes of a panel of square patches, row 0 at the top, below its title.

    Args:
        place: Number of the panel, from 0.
        grid: Rows and columns of patches.
        domain: Left and right end, as shares of the figure.
        height: Lower and upper end.
    """
    end = axes.suffix(place)
    across = {"domain": list(domain), "anchor": f"y{end}", "range": [-0.5, grid[1] - 0.5]}
    down = {"domain": list(height), "anchor": f"x{end}", "range": [grid[0] - 0.5, -0.5]}
    square = {"constrain": "domain", "showgrid": False}
    return {
        f"xaxis{end}": across | square,
        f"yaxis{end}": down | square | {"constraintoward": "top", "scaleanchor": f"x{end}"},
    }


def panel_title(text: str, domain: Sequence[float], height: float = 1.0) -> dict[str, Any]:
    """Return what stands above a panel."""
    return {
        "text": text,
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": sum(domain) / 2,
        "xanchor": "center",
        "y": height,
        "yanchor": "bottom",
    }
