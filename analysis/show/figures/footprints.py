"""Mean |x| at every patch of the grid: of one channel large, of several side by side."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from analysis.show.figures import theme
from analysis.show.figures.theme import Mode

COLUMNS = 4
"""Small maps side by side."""

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
        return theme.empty_figure("No patch was counted.", mode)
    bar = _BAR | {"title": {"text": value_label, "side": "right"}}
    figure = go.Figure(
        go.Heatmap(
            **_cells(mean_abs),
            z=theme.as_float32(mean_abs),
            colorscale=theme.magnitude_scale(mode),
            colorbar=bar,
            hovertemplate="row %{y:d}, column %{x:d}: %{z:.4g}<extra></extra>",
        )
    )
    figure = theme.apply_theme(figure, mode)
    _lay_out(figure, mean_abs.shape)
    figure.update_xaxes(title={"text": "patch column"})
    figure.update_yaxes(title={"text": "patch row"})
    return figure


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
    tops = [float(np.nanmax(one)) if np.isfinite(one).any() else 0.0 for one in maps]
    titles = [
        f"{'<b>' if channel == selected else ''}channel {channel}"
        f"{'</b>' if channel == selected else ''}<br>"
        f"<span style='font-size:11px'>up to {top:.4g}</span>"
        for channel, top in zip(channels.tolist(), tops, strict=True)
    ]
    lines = -(-len(channels) // COLUMNS)
    figure = make_subplots(
        lines,
        min(COLUMNS, len(channels)),
        subplot_titles=titles,
        horizontal_spacing=0.02,
        vertical_spacing=0.25 / lines,
    )
    for place, (one, top) in enumerate(zip(maps, tops, strict=True)):
        figure.add_trace(
            go.Heatmap(
                **_cells(one),
                z=theme.as_float32(one / (top or 1.0)),
                customdata=theme.as_float32(one)[..., None],
                coloraxis="coloraxis",
                hovertemplate="row %{y:d}, column %{x:d}: %{customdata[0]:.4g}<extra></extra>",
            ),
            place // COLUMNS + 1,
            place % COLUMNS + 1,
        )
    figure = theme.apply_theme(figure, mode)
    _lay_out(figure, maps.shape[1:], len(channels))
    figure.update_xaxes(showticklabels=False, ticks="")
    figure.update_yaxes(showticklabels=False, ticks="")
    figure.update_annotations(font={"size": 13})
    figure.update_layout(
        margin={"t": 64},  # titles of two lines, also enlarged ones
        coloraxis={
            "colorscale": theme.magnitude_scale(mode),
            "cmin": 0,
            "cmax": 1,
            "colorbar": _BAR | {"title": {"text": "share of its largest patch", "side": "right"}},
        },
    )
    return figure


def _cells(values: NDArray[np.floating]) -> dict[str, NDArray[np.int32]]:
    rows, columns = values.shape
    return {"x": np.arange(columns, dtype=np.int32), "y": np.arange(rows, dtype=np.int32)}


def _lay_out(figure: go.Figure, grid: tuple[int, ...], panels: int = 1) -> None:
    """Give every panel square patches, row 0 at the top."""
    rows, columns = grid
    figure.update_xaxes(range=[-0.5, columns - 0.5], constrain="domain", showgrid=False)
    figure.update_yaxes(
        range=[rows - 0.5, -0.5],
        constrain="domain",
        constraintoward="top",  # below its title, whatever room the shape of the grid leaves
        showgrid=False,
    )
    for place in range(panels):
        number = str(place + 1) if place else ""
        figure.update_layout({f"yaxis{number}": {"scaleanchor": f"x{number}"}})
    figure.update_layout(hovermode="closest")
