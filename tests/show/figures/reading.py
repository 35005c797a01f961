"""Read back what a figure shows."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import plotly.graph_objects as go


def traces(figure: go.Figure) -> tuple[Any, ...]:
    """Return the traces in drawing order; plotly's stubs do not know their attributes."""
    return tuple(figure.data)


def named(figure: go.Figure, name: str) -> Any:
    """Return the only trace of that name."""
    (trace,) = [trace for trace in traces(figure) if trace.name == name]
    return trace


def layout(figure: go.Figure) -> Any:
    """Return the layout; what pyright infers of plotly's property depends on the order of files."""
    return figure.layout


def names(figure: go.Figure) -> list[str]:
    """Return the names in the legend, in order."""
    return [t.name for t in traces(figure) if t.name and t.showlegend is not False]


def title(axis: Any) -> str:
    """Return an axis title on one line."""
    return re.sub(r"<[^>]*>", "", axis.title.text.replace("<br>", " "))


def notes(figure: go.Figure) -> list[str]:
    """Return the texts written onto the figure."""
    return [annotation.text for annotation in layout(figure).annotations]


def assert_lean(figure: go.Figure) -> None:
    """Hold that the figure travels in binary: no lists of numbers, no 64-bit arrays."""
    _assert_lean(figure.to_plotly_json()["data"])


def _assert_lean(part: Any) -> None:
    if isinstance(part, dict):
        for key, value in part.items():
            if key != "colorscale":
                _assert_lean(value)
    elif isinstance(part, np.ndarray):
        words = all(isinstance(value, str) for value in part.flat)
        assert words or part.dtype in (np.float32, np.int32), part.dtype
    elif isinstance(part, list | tuple):
        assert not any(isinstance(value, int | float) for value in part), part
        for value in part:
            _assert_lean(value)
