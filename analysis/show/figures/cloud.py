"""The figure of channels as points: each can be clicked and tells its number and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.language import _
from analysis.show.figures import theme
from analysis.show.figures.theme import Mode

SPARSE = 512
"""Up to so many channels points are drawn larger."""
RUNS = 256
"""Into how many runs of neighbours the quiet ones of many channels are put at most."""
UNSEEN = {"opacity": 0, "maxdisplayed": 1}
"""Of marks for the mouse alone: plotly finds them by their numbers, and makes one for all."""


def draw_channels(
    x: NDArray[np.number],
    y: NDArray[np.number],
    facts: Sequence[NDArray[np.number]],
    hover: str,
    *,
    name: str,
    marker: Mapping[str, Any],
    chosen: NDArray[np.bool_] | NDArray[np.integer] | slice = slice(None),
    channels: NDArray[np.integer] | None = None,
) -> dict[str, Any]:
    """Return a trace of channels; the first entry of `customdata` is the channel number.

    Args:
        x: ``[channels]``.
        y: ``[channels]``.
        facts: ``[channels]`` each: what the hover tells.
        hover: How it tells them; the first is ``customdata[1]``.
        name: In the legend.
        marker: Look of the points; their size follows the number of channels where it has none.
        chosen: Which channels to draw.
        channels: ``[channels]``: their numbers; 0, 1, ... where None.
    """
    numbers = np.arange(len(x)) if channels is None else channels
    return {
        "type": theme.point_type(len(x)),
        "x": theme.as_float32(x)[chosen],
        "y": theme.as_float32(y)[chosen],
        "customdata": np.column_stack([numbers, *facts]).astype(np.float32)[chosen],
        "mode": "markers",
        "name": name,
        "marker": {"size": 6 if len(x) <= SPARSE else 4, **marker},
        "hovertemplate": _("channel %{{customdata[0]:d}}<br>{hover}<extra></extra>").format(
            hover=hover
        ),
    }


def draw_ranges(trace: Mapping[str, Any], channels: int) -> dict[str, Any]:
    """Return what makes of a trace of marks the range of each run of channels, as one path.

    Several channels share a pixel: thousands of marks would cover each other, and take a browser
    longer than all the rest of the page. Where all of a run have the same value, or there is but
    one, the line lies flat and is as long as the run.

    Args:
        trace: As `draw_channels` returns it, along the numbers of the channels.
        channels: How many there are in all.
    """
    length = -(-channels // RUNS)
    runs = np.arange(0, channels, length)
    at = np.searchsorted(trace["x"], runs)
    starts = np.flatnonzero(np.diff(np.append(at, len(trace["x"]))))
    first, at = runs[starts], at[starts]
    low, high = (
        reduce.reduceat(trace["y"], at) if len(at) else trace["y"]
        for reduce in (np.minimum, np.maximum)
    )
    last = np.minimum(first + length, channels) - 1
    middle, half = (first + last) / 2, np.where(low == high, length / 2, 0)
    gap = np.full(len(low), np.nan)
    facts = np.column_stack([first, last, low, high]).astype(np.float32)
    return {
        "x": theme.as_float32(np.column_stack([middle - half, middle + half, middle]).ravel()),
        "y": theme.as_float32(np.column_stack([low, high, gap]).ravel()),
        "customdata": np.repeat(facts, 3, axis=0),
        "mode": "lines",
        "line": {"color": trace["marker"]["color"], "width": 3},
        "hovertemplate": _(
            "channels %{customdata[0]:d} to %{customdata[1]:d}: "
            "%{customdata[2]:.3g} to %{customdata[3]:.3g}<extra></extra>"
        ),
    }


def ring_channel(
    points: Mapping[str, Any], channel: int, mode: Mode
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a ring around one channel of a trace of all, and its name above.

    Args:
        points: As `draw_channels` returns them, on logarithmic axes.
        channel: Its number.
        mode: Light or dark.
    """
    accent = theme.accent_color(mode)
    ring = {
        **points,  # of the same type: plotly draws a surface of WebGL over all of SVG
        **{key: points[key][[channel]] for key in ("x", "y", "customdata")},
        "name": _("channel {channel}").format(channel=channel),
        "marker": {"symbol": "circle-open", "size": 16, "color": accent, "line": {"width": 3}},
        "hoverinfo": "skip",
    }
    del ring["hovertemplate"]
    label = {
        "x": float(np.log10(points["x"][channel])),
        "y": float(np.log10(points["y"][channel])),
        "text": _("channel {channel}").format(channel=channel),
        "showarrow": False,
        "yshift": 20,
        "font": {"color": accent},
        "bgcolor": theme.page_color(mode),
    }
    return ring, label


def draw_diagonal(low: float, high: float, name: str, mode: Mode) -> dict[str, Any]:
    """Return the line on which both values of a channel are equal."""
    ends = theme.as_float32([low, high])
    return {
        "type": "scatter",
        "x": ends,
        "y": ends,
        "mode": "lines",
        "name": name,
        "line": {"color": theme.muted_color(mode), "width": 1, "dash": "dash"},
        "hoverinfo": "skip",
    }
