"""Several versions in a row: channels that grow, and layers that move away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import _
from analysis.show.figures import axes, theme
from analysis.show.figures.depth import DepthLine, draw_over_depth
from analysis.show.figures.theme import Mode


def build_channel_timeline(
    values: NDArray[np.floating],
    channels: Sequence[int],
    names: Sequence[str],
    *,
    value_label: str,
    mode: Mode = "light",
) -> go.Figure:
    """Draw the magnitude of channels from version to version, on a logarithmic axis.

    Args:
        values: ``[versions, channels chosen]``, 0 or more.
        channels: Their numbers.
        names: The versions in order, unique.
        value_label: What the values are, with unit.
        mode: Light or dark.
    """
    if not len(channels):
        return theme.empty_figure(_("Choose channels to follow."), mode)
    traces = [
        {
            "type": "scatter",
            "x": np.array([theme.escape(name) for name in names]),
            "y": theme.as_float32(np.where(values[:, index] > 0, values[:, index], np.nan)),
            "customdata": np.full((len(names), 1), channel, dtype=np.int32),
            "mode": "lines+markers",
            "name": _("channel {channel}").format(channel=channel),
            "line": {"color": theme.version_color(index, mode), "width": 2},
            "marker": {"size": 9},
            "hovertemplate": "%{y:.4g}",
        }
        for index, channel in enumerate(channels)
    ]
    layout = {
        "xaxis": {"type": "category", "title": {"text": _("version")}},
        "yaxis": axes.log_axis(value_label, values),
        "hovermode": "x unified",
        "uirevision": "channel-timeline",
    }
    return theme.make_figure(traces, layout, mode)


def build_drift_timeline(
    layers: NDArray[np.integer],
    drift: NDArray[np.floating],
    names: Sequence[str],
    *,
    slots: Sequence[int] | None = None,
    noise: NDArray[np.floating] | None = None,
    mode: Mode = "light",
) -> go.Figure:
    """Draw how far every layer of each later version is from the first version.

    Args:
        layers: ``[layers]``.
        drift: ``[versions, layers]``; the first row, that of the first version, is not drawn.
        names: The versions in order.
        slots: Their colours, as `theme.version_color` counts them; in order where None.
        noise: ``[versions, layers]``: what chance alone gives; drawn thin.
        mode: Light or dark.
    """
    if not len(layers) or len(names) < 2:
        return theme.empty_figure(_("There is no later version to compare with the first."), mode)
    lines = [
        DepthLine(
            layers,
            drift[index],
            name,
            theme.version_color(slots[index] if slots else index, mode),
            reference=None if noise is None else noise[index],
            reference_name=_("noise"),
        )
        for index, name in enumerate(names[1:], start=1)
    ]
    title = _("drift from {names_1}").format(names_1=theme.escape(names[0]))
    title = axes.label_with_unit(title, _("standard deviations, rms over channels"))
    return draw_over_depth(
        lines,
        height={"title": {"text": title}, "rangemode": "tozero"},
        revision="drift-timeline",
        names_at_ends=True,
        layout={"showlegend": True},
        mode=mode,
    )
