"""What a head learned about the layers that it reads, as bars."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import _
from analysis.show.figures import axes, theme
from analysis.show.figures.theme import Mode


def build_head_layers(
    layers: NDArray[np.integer],
    values: Mapping[str, NDArray[np.floating]],
    *,
    label: str,
    even: float | None = None,
    mode: Mode = "light",
) -> go.Figure:
    """Draw one or two numbers of each layer side by side.

    Args:
        layers: ``[layers]``: where each bar stands.
        values: ``[layers]`` each, by name.
        label: Title of the axis of layers.
        even: Height of a dashed line, where all weights are alike; none where None.
        mode: Light or dark.
    """
    names = [str(layer) for layer in layers.tolist()]
    traces = [
        {
            "type": "bar",
            "x": names,
            "y": theme.as_float32(numbers),
            "name": name,
            "marker": {"color": theme.version_color(place, mode)},
            "hovertemplate": _("layer %{x}: %{y:.3f}"),
        }
        for place, (name, numbers) in enumerate(values.items())
    ]
    stroke = {"color": theme.text_color(mode), "width": 1, "dash": "dash"}
    layout = {
        "barmode": "group",
        "showlegend": True,
        "shapes": [] if even is None else [axes.level(even, stroke)],
        "xaxis": {"title": {"text": label}, "type": "category"},
        "yaxis": {"rangemode": "tozero"},
    }
    return theme.make_figure(traces, layout, mode)
