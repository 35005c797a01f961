"""Values over the patches of one photograph, layer by layer, with a slider through depth."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import _
from analysis.show.figures import axes, theme
from analysis.show.figures.depth import DepthLine, draw_over_depth
from analysis.show.figures.grid import draw_grid, panel_title, patch_axes
from analysis.show.figures.theme import Mode

SLIDER_BELOW = 64
"""Pixels from the maps to the slider: room for the colour bar. The buttons are above the slider, so
that they never meet it, however narrow the page."""

_GAP = 0.04
"""Between two maps, of the width of all."""

STEP_MS = 500
"""How long each layer is shown while it plays."""

_SIGNED = (
    (0.0, "rgba(38,103,201,0.95)"),
    (0.3, "rgba(38,103,201,0.45)"),
    (0.5, "rgba(128,128,128,0.05)"),
    (0.7, "rgba(217,72,15,0.45)"),
    (1.0, "rgba(217,72,15,0.95)"),
)
_UNSIGNED = (
    (0.0, "rgba(122,31,126,0.0)"),
    (0.4, "rgba(217,72,15,0.45)"),
    (1.0, "rgba(255,226,0,0.95)"),
)
"""The photograph shows through where there is little: the same on light and dark pages."""


@dataclass(frozen=True)
class MapPanel:
    """One network's maps of a photograph."""

    title: str
    values: NDArray[np.floating] | None = None
    """``[layers, rows, columns]``."""
    pictures: Sequence[bytes] = ()
    """Instead of values: a PNG of ``rows`` by ``columns`` pixels for every layer."""


def build_map_animation(
    panels: Sequence[MapPanel],
    layers: NDArray[np.integer],
    grid: tuple[int, int],
    *,
    photograph: bytes,
    value_label: str,
    first: int,
    signed: bool = True,
    mode: Mode = "light",
) -> go.Figure:
    """Draw maps over a photograph side by side, with a slider and a play button through depth.

    Args:
        panels: Same layers and grid in each.
        layers: ``[layers]``: block indices.
        grid: Rows and columns of patches.
        photograph: JPEG of what the patches cover.
        value_label: What is coloured, with unit; unused for pictures.
        first: Layer that is shown first.
        signed: Whether the colours are centred on the median, so that also a channel with a large
            offset shows where it differs; else they go from the smallest to the largest. At every
            layer they span that layer's values in all panels.
        mode: Light or dark.
    """
    start = int(np.flatnonzero(layers == first)[0]) if first in layers else len(layers) - 1
    names = [str(int(layer)) for layer in layers]
    layout: dict[str, Any] = {
        "hovermode": "closest",
        "sliders": [_slider(names, start, mode)],
        "updatemenus": [_buttons(mode)],
        "annotations": [],
        "images": [],
    }
    for place, panel in enumerate(panels):
        domain = _domain(place, len(panels))
        for name, axis in patch_axes(place, grid, domain).items():
            layout[name] = axis | {"visible": False}
        layout["annotations"].append(panel_title(theme.escape(panel.title), domain))
        if panel.values is not None:
            layout["images"].append(_lay_below(photograph, place, grid))
    figure = theme.make_figure(_traces(panels, start, value_label, signed), layout, mode)
    numbers = list(range(len(panels)))
    figure.frames = [
        {"name": name, "data": _traces(panels, place, value_label, signed), "traces": numbers}
        for place, name in enumerate(names)
    ]
    return figure


def _domain(place: int, panels: int) -> tuple[float, float]:
    """Return the left and right end of a panel; half a gap at each inner side."""
    left = place / panels + (_GAP / 2 if place else 0)
    return left, (place + 1) / panels - (_GAP / 2 if place < panels - 1 else 0)


def _lay_below(photograph: bytes, place: int, grid: tuple[int, int]) -> dict[str, Any]:
    end = axes.suffix(place)
    return {
        "source": _data_uri(photograph, "jpeg"),
        "xref": f"x{end}",
        "yref": f"y{end}",
        "x": -0.5,
        "y": -0.5,
        "sizex": grid[1],
        "sizey": grid[0],
        "sizing": "stretch",
        "layer": "below",
    }


def build_prefix_curves(
    values: Sequence[NDArray[np.floating]],
    names: Sequence[str],
    layers: NDArray[np.integer],
    *,
    value_label: str,
    mode: Mode = "light",
) -> go.Figure:
    """Draw values of the tokens without a place, CLS and registers, against depth.

    Args:
        values: ``[layers, 1 + storage tokens]``, one for each network.
        names: Of the networks; the first is drawn solid, the others dotted.
        layers: ``[layers]``.
        value_label: What is drawn, with unit.
        mode: Light or dark.
    """
    lines = []
    for place, (name, curves) in enumerate(zip(names, values, strict=True)):
        for token in range(curves.shape[1]):
            label = theme.role_label("cls" if token == 0 else f"storage_{token - 1}")
            lines.append(
                DepthLine(
                    *(layers, curves[:, token]),
                    label if len(names) == 1 else f"{label}, {name}",
                    color=theme.version_color(token, mode),
                    dash="dot" if place else "solid",
                    hover=_("{label}, {name}<br>layer %{{x:d}}: %{{y:.4g}}<extra></extra>").format(
                        label=label, name=theme.escape(name)
                    ),
                )
            )
    return draw_over_depth(
        lines,
        height={"title": {"text": value_label}},
        revision="prefix",
        layout=axes.BY_POINT,
        mode=mode,
    )


def _traces(
    panels: Sequence[MapPanel], place: int, label: str, signed: bool
) -> list[dict[str, Any]]:
    drawn = [panel.values[place] for panel in panels if panel.values is not None]
    low, high = _limits(drawn, signed)
    bar = {
        "title": {"text": label, "side": "top"},
        "orientation": "h",
        "thickness": 12,
        "outlinewidth": 0,
        "len": 0.6,
        "x": 0.5,
        "y": 0,
        "yanchor": "top",
        "ypad": 6,
    }
    traces: list[dict[str, Any]] = []
    for number, panel in enumerate(panels):
        end = axes.suffix(number)
        refs: dict[str, Any] = {"xaxis": f"x{end}", "yaxis": f"y{end}"}
        if panel.values is None:
            picture = _data_uri(panel.pictures[place], "png")
            traces.append({"type": "image", "source": picture, "hoverinfo": "skip", **refs})
            continue
        colors: dict[str, Any] = {
            "zmin": low,
            "zmax": high,
            "colorscale": _SIGNED if signed else _UNSIGNED,
        }
        bars = {"showscale": number == len(panels) - 1, "colorbar": bar}
        traces.append(draw_grid(panel.values[place], "light", **colors, **bars, **refs))
    return traces


def _limits(maps: Sequence[NDArray[np.floating]], signed: bool) -> tuple[float, float]:
    if not maps:
        return 0.0, 1.0
    if signed:
        center = float(np.median(np.concatenate([values.ravel() for values in maps])))
        size = max(float(np.abs(values - center).max()) for values in maps) or 1.0
        return center - size, center + size
    low = min(float(values.min()) for values in maps)
    high = max(float(values.max()) for values in maps)
    return low, high if high > low else low + 1.0


def _slider(names: Sequence[str], start: int, mode: Mode) -> dict[str, Any]:
    now = {"frame": {"duration": 0, "redraw": True}, "mode": "immediate"}
    return {
        "active": start,
        "y": 0,
        "pad": {"t": SLIDER_BELOW},
        "currentvalue": {"prefix": "layer ", "xanchor": "right"},
        "font": {"color": theme.text_color(mode)},
        "bgcolor": theme.muted_color(mode),
        "steps": [
            {"label": name, "method": "animate", "args": [[name], now | {"transition": _NONE}]}
            for name in names
        ],
    }


_NONE = {"duration": 0}


def _buttons(mode: Mode) -> dict[str, Any]:
    play = {
        "frame": {"duration": STEP_MS, "redraw": True},
        "fromcurrent": True,
        "transition": _NONE,
    }
    stop = {"frame": {"duration": 0, "redraw": False}, "mode": "immediate", "transition": _NONE}
    return {
        "type": "buttons",
        "direction": "left",
        "x": 0,
        "xanchor": "left",
        "y": 0,
        "yanchor": "top",
        "pad": {"t": SLIDER_BELOW - 10},
        "showactive": False,
        "bgcolor": "rgba(0,0,0,0)",
        "font": {"color": theme.text_color(mode)},
        "bordercolor": theme.muted_color(mode),
        "buttons": [
            {"label": "▶", "method": "animate", "args": [None, play]},
            {"label": "❚❚", "method": "animate", "args": [[None], stop]},
        ],
    }


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
