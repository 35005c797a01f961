"""Axes that mean the same in every figure: layers, magnitudes on logarithmic scales, units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import N_, Texts, _
from analysis.read.digits import show_digits
from analysis.show.figures import theme
from analysis.show.figures.theme import Mode

BY_LAYER: Mapping[str, Any] = MappingProxyType(
    {
        "hovermode": "x unified",
        "hoverdistance": -1,  # wherever the pointer is, the nearest layer is told
        "modebar": {"orientation": "v"},  # beside the plot: above it stands the legend
        "margin": {"r": 40},
    }
)
"""Layout of a figure of lines against depth."""

BY_POINT: Mapping[str, Any] = MappingProxyType({"hovermode": "closest", "hoverdistance": 20})
"""Replaces the hover of `BY_LAYER` where one point is told at a time."""

SPIKE = "#8a93a2"
"""The line at the layer that is told; seen on both pages."""


INPUT = -1
"""Where what enters block 0 stands on an axis of layers."""


class Scale(StrEnum):
    """How values are laid out along an axis."""

    LOG = "log"
    LINEAR = "linear"
    SYMLOG = "symlog"


SCALE_LABELS = Texts({Scale.LOG: N_("log"), Scale.LINEAR: N_("linear"), Scale.SYMLOG: N_("symlog")})


def log_axis(title: str, *drawn: NDArray[np.floating]) -> dict[str, object]:
    """Return the settings of a logarithmic axis.

    Args:
        title: What is on it, with unit.
        *drawn: What is drawn along it: over a few decades 1, 2 and 5 of each get a label, where
            plotly would label all nine digits.
    """
    values = np.concatenate([np.ravel(part) for part in drawn]) if drawn else np.array([])
    values = values[np.isfinite(values) & (values > 0)]
    decades = float(np.log10(values.max() / values.min())) if len(values) else 0.0
    axis: dict[str, object] = {"type": "log", "title": {"text": title}, "tickformat": "~g"}
    return axis | {"dtick": "D2"} if 0.7 < decades < 3.5 else axis


def bend_to_symlog(figure: go.Figure) -> None:
    """Make the finished y axes logarithmic on both sides of zero, in place, each on its own.

    Plotly has no such axis, so the values are drawn as sign(y) log10(1 + |y| / c), where c, below
    which the axis is about linear, is a thousandth of the decade of the largest; ticks and hover
    keep telling the values themselves.
    """
    traces: dict[str, list[Any]] = {}
    for trace in figure.data:
        traces.setdefault(getattr(trace, "yaxis", None) or "y", []).append(trace)
    for axis, drawn in traces.items():
        _bend_axis(figure, axis, drawn)


def _bend_axis(figure: go.Figure, axis: str, traces: Sequence[Any]) -> None:
    values = np.concatenate([np.ravel(np.asarray(trace.y, np.float64)) for trace in traces])
    values = values[np.isfinite(values)]
    if not values.any():
        return
    decade = int(np.floor(np.log10(np.abs(values).max())))
    unit = 10.0 ** (decade - 3)

    def bend(value: NDArray[np.floating] | float) -> NDArray[np.floating]:
        return np.sign(value) * np.log10(1 + np.abs(value) / unit)

    for trace in traces:
        drawn = np.asarray(trace.y, np.float32)
        trace.y = theme.as_float32(bend(drawn))
        if trace.hoverinfo != "skip":
            trace.update(customdata=drawn, hovertemplate=_("%{customdata:.4g}"))
    layout: Any = figure.layout
    for shape in layout.shapes:
        if shape.yref == axis:
            shape.y0 = shape.y1 = float(bend(float(shape.y0)))
    powers = 10.0 ** np.arange(decade - 2, decade + 2)
    ticks = np.concatenate([-powers[::-1], [0.0], powers])
    ticks = ticks[(ticks >= min(values.min(), 0) * 10) & (ticks <= max(values.max(), 0) * 10)]
    layout[axis.replace("y", "yaxis")].update(
        tickmode="array",
        tickvals=theme.as_float32(bend(ticks)),
        ticktext=np.array([f"{tick:,.6g}" for tick in ticks]),
        zeroline=True,
        zerolinecolor=layout.template.layout.yaxis.linecolor,
    )


def label_with_unit(quantity: str, *units: str) -> str:
    """Return an axis title: the quantity, and below it its unit or units, each once."""
    unit = _(", ").join(dict.fromkeys(units))
    return f"{quantity}<br><span style='font-size:75%'>{unit}</span>"


def magnitude_bar(logs: NDArray[np.floating], title: str) -> dict[str, object]:
    """Return the settings of a colour bar over log10 values, labelled with the values themselves.

    Args:
        logs: What is coloured; NaN where there is nothing.
        title: What the values are, with unit.
    """
    finite = logs[np.isfinite(logs)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    decades = np.arange(np.floor(low), np.ceil(high) + 1)
    steps = (1, 2, 5) if high - low < 3 else (1,)
    ticks = np.array([decade + np.log10(step) for decade in decades for step in steps])
    texts = [f"{10.0**tick:,.6g}" for tick in ticks]
    if np.sum((ticks >= low) & (ticks <= high)) < 3:  # less than a decade: its ends and its middle
        ticks = np.unique([low, (low + high) / 2, high])
        texts = [show_digits(10.0**tick, 3) for tick in ticks]
    return {
        "title": {"text": title, "side": "right"},
        "tickvals": ticks.astype(np.float32),
        "ticktext": np.array(texts),
        "thickness": 14,
        "outlinewidth": 0,
    }


def layer_axis(layers: NDArray[np.integer], *, panels: int = 1) -> dict[str, object]:
    """Return the settings of an axis of layers, also for one layer; panels share the width.

    What enters block 0 stands at -1, which is called "in".
    """
    low, high = int(layers.min()), int(layers.max())
    wanted = (high - low) * panels / 16
    room = max(0.5, 0.02 * (high - low))
    step = next(step for step in (1, 2, 5, 10, 20, 50, 10_000) if step >= wanted)
    ticks: dict[str, object] = {"tickformat": "d", "dtick": step, "tick0": 0}
    if low < 0:
        blocks = np.arange(0, high + 1, step, dtype=np.int32)
        if step >= 5:  # the label of block 0 would touch that of what enters it
            blocks = blocks[1:]
        ticks = {
            "tickmode": "array",
            "tickvals": np.append(np.int32(INPUT), blocks),
            "ticktext": np.array([_("in"), *map(str, blocks.tolist())]),
        }
    return {
        "title": {"text": _("layer (block index)")},
        "range": [low - room, high + room],
        **ticks,
        "tickangle": 0,
        "unifiedhovertitle": {"text": _("layer %{x}")},
        "spikethickness": 1,
        "spikedash": "dot",
        "spikecolor": SPIKE,
    }


def suffix(panel: int) -> str:
    """Return what stands behind the names of a panel's axes: nothing, 2, 3, ..."""
    return str(panel + 1) if panel else ""


def level(value: float, line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line across the plot at one height."""
    across = {"type": "line", "xref": "x domain", "x0": 0, "x1": 1, "yref": "y"}
    return {**across, "y0": value, "y1": value, "line": line}


def tapped_marks(
    tapped: Sequence[int], mode: Mode, *, panels: int = 1
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a thin line, in each of the panels, at the layers that the training config taps.

    Returns:
        The lines, as shapes, and the trace that names them: shapes have no legend of their own.
    """
    line = {"color": theme.muted_color(mode), "width": 1, "dash": "dash"}
    shapes = [
        {
            "type": "line",
            "xref": f"x{panel}",
            "yref": f"y{panel} domain",
            "x0": layer,
            "x1": layer,
            "y0": 0,
            "y1": 1,
            "layer": "above",  # below is under the grid too, which hides it where both meet
            "line": line,
        }
        for panel in ["", *range(2, panels + 1)]
        for layer in tapped
    ]
    nowhere = np.array([np.nan], dtype=np.float32)
    named = {
        "type": "scatter",
        "x": nowhere,
        "y": nowhere,
        "mode": "lines",
        "name": _("tapped by the config"),
        "legendgroup": "tapped",
        "line": line,
        "hoverinfo": "skip",
    }
    return shapes, [named] if tapped else []
