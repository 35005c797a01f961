"""Channels that stand out: in one layer, across layers, and how many there are.

A heatmap cell cannot be clicked in Streamlit, a mark can; hence two forms of the same map. The
first entry of `customdata` is the channel number in every trace that can be clicked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import N_, _
from analysis.read.exceed import MIN_TOKENS
from analysis.show.figures import axes, theme
from analysis.show.figures.cloud import UNSEEN, draw_channels, draw_ranges
from analysis.show.figures.depth import DepthLine, draw_cells, draw_over_depth
from analysis.show.figures.grid import draw_magnitudes
from analysis.show.figures.theme import Mode
from analysis.vocabulary import EXCEED_LEVELS

MAX_LABELS = 12
MAX_LINES = 8
FEW = 8
"""Up to so many outliers each number has a tick."""
MARKS = 128
"""How many channels of one level are drawn as marks where there are many: the largest."""

_ARRAYS = ("x", "y", "customdata")
_CELL_TEMPLATE = N_(
    "channel %{customdata[0]:d}, layer %{customdata[1]:d}: %{customdata[2]:.4g}<extra></extra>"
)
_HOVER = N_("mean %{customdata[1]:.4g}<br>std %{customdata[2]:.4g}<br>max |x| %{customdata[3]:.4g}")


def build_channel_scatter(
    values: NDArray[np.floating],
    *,
    outlier_mask: NDArray[np.bool_],
    statistics: NDArray[np.floating],
    top: NDArray[np.integer],
    value_label: str,
    level: float | None = None,
    floor: float | None = None,
    mode: Mode = "light",
) -> go.Figure:
    """Draw every channel of a layer, outliers marked and the largest of them labelled.

    Args:
        values: ``[channels]``, what the channels are ranked by or rank the same: 0 or more. Zeros
            are drawn at the lower edge; the hover tells the truth.
        outlier_mask: ``[channels]``.
        statistics: ``[3, channels]``: mean, std, max_abs, for the hover.
        top: Channels to label, as far as they are outliers; the first `MAX_LABELS` are.
        value_label: Axis title, with unit.
        level: From which value on a channel is an outlier; not drawn where None or infinite.
        floor: Values below it stand at the lower edge too; only 0 does where None.
        mode: Light or dark.
    """
    if not len(values):
        return theme.empty_figure(_("This payload has no channels."), mode)
    heights, accent = _lift(values, floor), theme.accent_color(mode)
    traces = [
        draw_channels(
            *(np.arange(len(values)), heights, list(statistics), _(_HOVER)),
            name=f"{name} ({int(mask.sum()):,})",
            marker=marker,
            chosen=mask,
        )
        for name, mask, marker in (
            (_("other channels"), ~outlier_mask, {"color": theme.muted_color(mode)}),
            (_("outliers"), outlier_mask, {"color": accent, "size": 8}),
        )
    ]
    notes = [
        {
            "x": int(channel),
            "y": float(np.log10(heights[channel])),
            "text": str(int(channel)),
            "showarrow": False,
            "yanchor": "bottom",
            "yshift": 3,
            "font": {"size": 11},
        }
        for channel in top[outlier_mask[top]][:MAX_LABELS]
    ]
    shapes = []
    if level is not None and np.isfinite(level) and level > 0:
        line = {"color": accent, "width": 1, "dash": "dash"}
        shapes.append(axes.level(level, line) | {"layer": "below"})
    layout = {
        "annotations": notes,
        "shapes": shapes,
        "xaxis": {"title": {"text": _("channel")}, "tickformat": "d"},
        "yaxis": axes.log_axis(value_label, heights),
        "uirevision": f"channels-{value_label}",
    }
    return theme.make_figure(traces, layout, mode)


def build_channel_marks(
    values: NDArray[np.floating],
    channels: NDArray[np.integer],
    layers: NDArray[np.integer],
    *,
    value_label: str,
    mode: Mode = "light",
) -> go.Figure:
    """Draw channels (rows) against layers as a heatmap with logarithmic colours.

    On each cell lies an unseen mark that can be clicked; its `customdata` is (channel, layer,
    value).

    Args:
        values: ``[rows, layers]``, 0 or more; cells of 0 stay empty.
        channels: ``[rows]``, drawn from the top down.
        layers: ``[layers]``.
        value_label: Title of the colour bar, with unit.
        mode: Light or dark.
    """
    if not values.size:
        return theme.empty_figure(_("No channel to draw: ask for at least one."), mode)
    rows, columns = np.indices(values.shape, dtype=np.int32)
    marks = {
        "type": "scatter",
        "x": layers.astype(np.int32)[columns.ravel()],
        "y": rows.ravel(),
        "customdata": _cells(values, channels, layers),
        "mode": "markers",
        "marker": UNSEEN,
        "hovertemplate": _(_CELL_TEMPLATE),
        "showlegend": False,
    }
    cells = _draw_map(values, layers, value_label, mode) | {"hoverinfo": "skip"}
    del cells["hovertemplate"]
    # the whole cell belongs to its mark
    layout = _lay_out_map(channels, layers) | {"hoverdistance": -1}
    return theme.make_figure([cells, marks], layout, mode)


def build_channel_lines(
    values: NDArray[np.floating],
    channels: NDArray[np.integer],
    layers: NDArray[np.integer],
    *,
    value_label: str,
    tapped: Sequence[int] = (),
    mode: Mode = "light",
) -> go.Figure:
    """Draw a few channels against depth, each a line that can be clicked.

    Args:
        values: ``[channels, layers]``, 0 or more.
        channels: ``[channels]``, in legend order; the first `MAX_LINES` are drawn.
        layers: ``[layers]``.
        value_label: Axis title, with unit.
        tapped: Layers to mark.
        mode: Light or dark.
    """
    if not values.size:
        return theme.empty_figure(_("No channel to draw: ask for at least one."), mode)
    values, channels = values[:MAX_LINES], channels[:MAX_LINES]
    cells = _cells(values, channels, layers).reshape(*values.shape, 3)
    lines = [
        DepthLine(
            *(
                layers,
                np.where(values[row] > 0, values[row], np.nan),
                _("channel {channel}").format(channel=channel),
            ),
            color=theme.version_color(row % theme.SERIES_COLORS, mode),
            dash="solid" if row < theme.SERIES_COLORS else "dot",
            hover=_(_CELL_TEMPLATE),
            keys={"customdata": cells[row], "mode": "lines+markers"},  # only marks can be clicked
        )
        for row, channel in enumerate(channels)
    ]
    return draw_over_depth(
        lines,
        height=axes.log_axis(value_label, values),
        tapped=tapped,
        revision=f"channel-lines-{value_label}",
        layout=axes.BY_POINT,
        mode=mode,
    )


def needs_ranges(share: NDArray[np.floating]) -> bool:
    """Return whether `build_exceedance_scatter` draws ranges of channels, which are too many."""
    return int((share > 0).sum()) > theme.MAX_SVG_POINTS


def build_exceedance_scatter(
    share: NDArray[np.floating], layers_met: NDArray[np.integer], mode: Mode = "light"
) -> go.Figure:
    """Draw the share of tokens beyond each level, channel by channel.

    Of many channels the `MARKS` largest are marks, and of the others the range is drawn; each of
    them can be hovered over and clicked all the same.

    Args:
        share: ``[levels, channels]``, 0 to 1; channels without such a token are not drawn.
        layers_met: ``[channels]``: in how many layers the rule of LLM.int8() holds.
        mode: Light or dark.
    """
    if not (share > 0).any():
        first = f"{EXCEED_LEVELS[0]:g}"
        return theme.empty_figure(
            _("No token has a channel beyond {first} in this layer.").format(first=first), mode
        )
    colors = [theme.version_color(0, mode), theme.version_color(2, mode), theme.accent_color(mode)]
    hover = _("%{customdata[1]:.3g}% of the tokens<br>the rule holds in %{customdata[2]:d} layers")
    channels = np.arange(share.shape[1])
    many = needs_ranges(share)
    traces = []
    for level, values, color, symbol in zip(
        EXCEED_LEVELS, share, colors, ("circle", "diamond", "square"), strict=True
    ):
        points = draw_channels(
            *(channels, 100 * values, [100 * values, layers_met], hover),
            name=_("beyond {level:g} ({value_sum})").format(
                level=level, value_sum=int((values > 0).sum())
            ),
            marker={"color": color, "symbol": symbol, "size": 7},
            chosen=values > 0,
        )
        traces += _split(points, len(channels)) if many else [points | {"type": "scatter"}]
    line = {"color": theme.text_color(mode), "width": 1, "dash": "dash"}
    layout = {
        "shapes": [axes.level(100 * MIN_TOKENS, line) | {"layer": "below"}],
        "xaxis": {"title": {"text": _("channel")}, "tickformat": "d"},
        "yaxis": axes.log_axis(_("share of tokens (%)"), 100 * share)
        | {"autorangeoptions": {"maxallowed": np.log10(130)}},  # no tick above all of them
        "uirevision": "exceedance",
    }
    return theme.make_figure(traces, layout, mode)


def build_outlier_counts(
    layers: NDArray[np.integer],
    counts: NDArray[np.integer],
    *,
    channels: int,
    tapped: Sequence[int] = (),
    mode: Mode = "light",
) -> go.Figure:
    """Draw how many channels are outliers in every layer; layers without any are at 0.

    Args:
        layers: ``[layers]``.
        counts: ``[layers, 3, 2]``, by representation and role.
        channels: How many there are in all.
        tapped: Layers to mark.
        mode: Light or dark.
    """
    height: dict[str, Any] = {
        "title": {"text": _("outliers among {channels:,} channels").format(channels=channels)},
        "rangemode": "tozero",
        "tickformat": ",d",
    }
    if len(counts) and counts.max() <= FEW:
        height["dtick"] = 1  # no halves of a channel
    return draw_cells(
        layers,
        counts,
        height=height,
        hover="%{y:,d}",
        tapped=tapped,
        revision="outlier-counts",
        empty=_("This payload has no layers."),
        mode=mode,
    )


def _split(points: Mapping[str, Any], channels: int) -> list[dict[str, Any]]:
    """Return the largest of many points as marks, and the others as their ranges under the mouse.

    A second surface of WebGL takes a browser without a graphics card half a second.
    """
    quiet, loud = np.split(np.argsort(points["y"]), [max(len(points["y"]) - MARKS, 0)])
    marks, rest = (
        {**points, "type": "scatter", **{key: points[key][np.sort(at)] for key in _ARRAYS}}
        for at in (loud, quiet)
    )
    if not len(quiet):
        return [marks]
    group = {"legendgroup": points["name"]}
    ranges = rest | draw_ranges(rest, channels) | {"hoverinfo": "skip", "showlegend": False} | group
    del ranges["hovertemplate"]
    unseen = rest | {"marker": points["marker"] | UNSEEN, "showlegend": False} | group
    return [ranges, unseen, marks | group]


def _draw_map(
    values: NDArray[np.floating], layers: NDArray[np.integer], value_label: str, mode: Mode
) -> dict[str, Any]:
    rows = np.arange(len(values), dtype=np.int32)
    return draw_magnitudes(values, mode, x=layers.astype(np.int32), y=rows, label=value_label)


def _lay_out_map(channels: NDArray[np.integer], layers: NDArray[np.integer]) -> dict[str, object]:
    return {
        "xaxis": axes.layer_axis(layers) | {"showgrid": False},
        "yaxis": _channel_axis(channels) | {"showgrid": False},
        "uirevision": f"map-{len(channels)}-{len(layers)}",
    }


def _channel_axis(channels: NDArray[np.integer]) -> dict[str, object]:
    """Rows labelled by channel, the first at the top; the names thin out before they overlap."""
    step = -(-len(channels) // 40)
    rows = np.arange(0, len(channels), step, dtype=np.int32)
    return {
        "title": {"text": _("channel")},
        "tickmode": "array",
        "tickvals": rows,
        "ticktext": channels[rows].astype(str),
        "range": [len(channels) - 0.5, -0.5],
    }


def _cells(
    values: NDArray[np.floating], channels: NDArray[np.integer], layers: NDArray[np.integer]
) -> NDArray[np.float32]:
    rows, columns = np.indices(values.shape)
    return np.column_stack(
        [channels[rows.ravel()], layers[columns.ravel()], values.ravel()]
    ).astype(np.float32)


def _lift(values: NDArray[np.floating], floor: float | None) -> NDArray[np.float32]:
    """Put zeros below the smallest other value, since a logarithmic axis has no place for them."""
    positive = values[values > 0]
    lowest = floor or (float(positive.min()) / 2 if len(positive) else 1.0)
    return theme.as_float32(np.maximum(values, lowest))
