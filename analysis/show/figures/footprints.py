"""Mean |x| at every patch of the grid: of one channel large, of several side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import _
from analysis.show.figures import axes, theme
from analysis.show.figures.grid import draw_grid, panel_title, patch_axes
from analysis.show.figures.theme import Mode

COLUMNS = 4
"""Small maps side by side."""

_BETWEEN = 0.02
"""From one to the next, of the width of all."""
_BAR = {"thickness": 14, "outlinewidth": 0}


def build_footprint_map(
    mean_abs: NDArray[np.floating], *, value_label: str, mode: Mode = "light"
) -> go.Figure:
    """Draw the map of one channel; colours span its own values.

    Args:
        mean_abs: ``[rows, columns]``, NaN where no patch was counted.
        value_label: What is coloured, with unit.
        mode: Light or dark.
    """
    if not np.isfinite(mean_abs).any():
        return theme.empty_figure(_("No patch was counted."), mode)
    bar = _BAR | {"title": {"text": value_label, "side": "right"}}
    layout: dict[str, Any] = {"hovermode": "closest", **patch_axes(0, mean_abs.shape, (0, 1))}
    layout["xaxis"] |= {"title": {"text": _("patch column")}}
    layout["yaxis"] |= {"title": {"text": _("patch row")}}
    return theme.make_figure([draw_grid(mean_abs, mode, colorbar=bar)], layout, mode)


def build_footprint_multiples(
    channels: NDArray[np.integer],
    maps: NDArray[np.floating],
    *,
    selected: int | None = None,
    mode: Mode = "light",
) -> go.Figure:
    """Draw the maps of several channels, each in units of its own largest patch.

    So a constant is evenly dark, a few patches are a few marks, whatever the size of the channel.

    Args:
        channels: ``[K]``.
        maps: ``[K, rows, columns]``, NaN where no patch was counted.
        selected: Channel whose title stands out.
        mode: Light or dark.
    """
    columns, lines = min(COLUMNS, len(channels)), -(-len(channels) // COLUMNS)
    width = (1 - _BETWEEN * (columns - 1)) / columns
    gap = 0.25 / lines
    height = (1 - gap * (lines - 1)) / lines
    bar = _BAR | {"title": {"text": _("share of its largest patch"), "side": "right"}}
    scale = {"colorscale": theme.magnitude_scale(mode), "cmin": 0, "cmax": 1, "colorbar": bar}
    layout: dict[str, Any] = {
        "margin": {"t": 64},  # titles of two lines, also enlarged ones
        "hovermode": "closest",
        "coloraxis": scale,
        "annotations": [],
    }
    traces = []
    for place, (channel, one) in enumerate(zip(channels.tolist(), maps, strict=True)):
        top = float(np.nanmax(one)) if np.isfinite(one).any() else 0.0
        left, end = place % COLUMNS * (width + _BETWEEN), axes.suffix(place)
        low = (lines - 1 - place // COLUMNS) * (height + gap)
        trace = draw_grid(
            one / (top or 1.0),
            mode,
            customdata=theme.as_float32(one)[..., None],
            coloraxis="coloraxis",
            hovertemplate=_("row %{y:d}, column %{x:d}: %{customdata[0]:.4g}<extra></extra>"),
            xaxis=f"x{end}",
            yaxis=f"y{end}",
        )
        del trace["colorscale"]
        traces.append(trace)
        across, up = (left, min(left + width, 1.0)), (low, min(low + height, 1.0))
        for name, axis in patch_axes(place, one.shape, across, up).items():
            layout[name] = axis | {"showticklabels": False, "ticks": ""}
        name = (
            f"<b>channel {channel}</b>"
            if channel == selected
            else _("channel {channel}").format(channel=channel)
        )
        text = _("{name}<br><span style='font-size:11px'>up to {top:.4g}</span>").format(
            name=name, top=top
        )
        layout["annotations"].append(panel_title(text, across, up[1]) | {"font": {"size": 13}})
    return theme.make_figure(traces, layout, mode)
