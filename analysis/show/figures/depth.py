"""The figure of lines over depth: one number per layer and line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import _
from analysis.show.figures import axes, theme
from analysis.show.figures.theme import Mode
from analysis.vocabulary import REPRESENTATIONS, ROLES, Representation, TokenRole

END_LETTERS = 24
END_ROOM = 175
"""Pixels right of the lines, for so many letters."""
END_APART = 0.07
"""Of the height of all: two names at the ends of lines are at least so far apart."""

MAX_MARKED = 24
"""Layers up to which each has a marker; more of them hide the dashes."""


@dataclass(frozen=True)
class DepthLine:
    """One line: a number for each layer, and what the line looks like."""

    layers: NDArray[np.integer]
    """``[layers]``: block indices."""
    values: NDArray[np.floating] | NDArray[np.integer]
    """``[layers]``; the line breaks at NaN."""
    name: str
    color: str
    dash: str = "solid"
    symbol: str | NDArray[np.str_] = "circle"
    """Marker, or one for each layer."""
    mark_color: NDArray[np.str_] | None = None
    """``[layers]``: colours of the markers; that of the line where None."""
    hover: str = "%{y:.4g}"
    reference: NDArray[np.floating] | None = None
    """``[layers]``: drawn as a thin line of the same colour and dash where it is known."""
    reference_name: str = ""
    keys: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the trace that replace those above."""

    @classmethod
    def of_cell(
        cls,
        layers: NDArray[np.integer],
        values: NDArray[np.floating] | NDArray[np.integer],
        representation: Representation,
        role: str,
        mode: Mode,
        **options: Any,
    ) -> DepthLine:
        """Return the line of a representation (its colour) and a token role (dash and marker)."""
        style: dict[str, Any] = {
            "name": theme.describe_cell(representation, role),
            "color": theme.representation_color(representation, mode),
            "dash": theme.role_dash(role),
            "symbol": theme.role_symbol(role),
        }
        return cls(layers, values, **{**style, **options})

    def draw(self) -> list[dict[str, Any]]:
        """Return the line as a trace, and the thin line of its reference as a second one."""
        marked = len(self.layers) <= MAX_MARKED or not isinstance(self.symbol, str)
        whole = np.issubdtype(self.values.dtype, np.integer)
        line = {
            "type": "scatter",
            "x": self.layers.astype(np.int32),
            "y": self.values.astype(np.int32) if whole else theme.as_float32(self.values),
            "name": self.name,
            "legendgroup": self.name,
            "mode": "lines+markers" if marked else "lines",
            "line": {"color": self.color, "dash": self.dash, "width": 2},
            "marker": {
                "color": self.color if self.mark_color is None else self.mark_color,
                "symbol": self.symbol,
                "size": 6,
            },
            "hovertemplate": self.hover,
            **self.keys,
        }
        if self.reference is None or not np.isfinite(self.reference).any():
            return [line]
        thin = {
            "y": theme.as_float32(self.reference),
            "name": f"{self.name}: {self.reference_name}",
            "showlegend": False,
            "mode": "lines+markers" if len(self.layers) == 1 else "lines",
            "line": {**line["line"], "width": 1},
            "marker": {"symbol": "line-ew-open", "size": 12, "color": self.color},
            "opacity": 0.5,
        }
        return [line, line | thin]


def draw_over_depth(
    lines: Sequence[DepthLine],
    *,
    height: Mapping[str, Any],
    revision: str,
    mode: Mode,
    empty: str | None = None,
    below: Sequence[Mapping[str, Any]] = (),
    above: Sequence[Mapping[str, Any]] = (),
    levels: Sequence[float] = (),
    tapped: Sequence[int] = (),
    symlog: bool = False,
    names_at_ends: bool = False,
    layout: Mapping[str, Any] | None = None,
) -> go.Figure:
    """Draw lines over depth; the hover shows all values of the nearest layer.

    Args:
        lines: In legend order.
        height: Settings of the y axis.
        revision: Zoom survives while this stays the same.
        mode: Light or dark.
        empty: Said where no line has a layer; that the payload has none where None.
        below: Traces under the lines.
        above: Traces over the lines.
        levels: Heights of dashed lines across.
        tapped: Layers to mark.
        symlog: Logarithmic on both sides of zero.
        names_at_ends: Each of several lines is named where it ends too; on a linear axis only.
        layout: Keys that replace those of the figure.
    """
    traces = [*below, *(trace for line in lines for trace in line.draw()), *above]
    layers = np.concatenate([np.empty(0, np.int32), *(trace["x"] for trace in traces)])
    if not len(layers):
        return theme.empty_figure(empty or _("This payload has no layers."), mode)
    shapes, names = axes.tapped_marks(tapped, mode)
    stroke = {"color": theme.text_color(mode), "width": 1, "dash": "dash"}
    shapes += [axes.level(value, stroke) for value in levels]
    keys = {
        **axes.BY_LAYER,
        "shapes": shapes,
        "xaxis": axes.layer_axis(layers),
        "yaxis": height,
        "uirevision": revision,
        **(layout or {}),
    }
    if names_at_ends and len(lines) > 1:
        keys |= {"annotations": _name_ends(lines), "margin": {"r": END_ROOM}}
    figure = theme.make_figure([*traces, *names], keys, mode)
    if symlog:
        axes.bend_to_symlog(figure)
    return figure


def _name_ends(lines: Sequence[DepthLine]) -> list[dict[str, Any]]:
    """Return the names right of the lines, from the lowest end up, none on another."""
    known = [line for line in lines if np.isfinite(line.values).any()]
    if not known:
        return []
    values = np.concatenate([line.values[np.isfinite(line.values)] for line in known])
    apart = END_APART * float(max(values.max(), 0) - min(values.min(), 0))
    notes: list[dict[str, Any]] = []
    height = -np.inf
    for end, line in sorted(((_find_end(line), line) for line in known), key=lambda pair: pair[0]):
        height = max(end[0], height + apart)
        cut = len(line.name) > END_LETTERS
        notes.append(
            {
                # names that differ do so at their ends more often than where they begin
                "text": theme.escape(f"…{line.name[-END_LETTERS:]}" if cut else line.name),
                "font": {"color": line.color},
                "showarrow": False,
                "x": end[1],
                "y": height,
                "xanchor": "left",
                "xshift": 10,
            }
        )
    return notes


def _find_end(line: DepthLine) -> tuple[float, int]:
    """Return the last value of a line and its layer."""
    last = int(np.flatnonzero(np.isfinite(line.values))[-1])
    return float(line.values[last]), int(line.layers[last])


def draw_cells(
    layers: NDArray[np.integer],
    values: NDArray[np.floating] | NDArray[np.integer],
    *,
    height: Mapping[str, Any],
    revision: str,
    mode: Mode,
    representations: Sequence[Representation] = REPRESENTATIONS,
    roles: Sequence[TokenRole] = ROLES,
    noise: NDArray[np.floating] | None = None,
    noise_name: str | None = None,
    filled: NDArray[np.bool_] | None = None,
    coloured: NDArray[np.bool_] | None = None,
    hover: str = "%{y:.4g}",
    empty: str | None = None,
    tapped: Sequence[int] = (),
) -> go.Figure:
    """Draw a line over depth for each representation and role, with its noise as a thin one.

    Args:
        layers: ``[layers]``.
        values: ``[layers, 3, 2]``.
        height: Settings of the y axis.
        revision: Zoom survives while this stays the same.
        mode: Light or dark.
        representations: Which to draw.
        roles: Which to draw.
        noise: ``[layers, 3, 2]``: drawn where it is known.
        noise_name: What the thin lines are; the noise where None.
        filled: ``[layers, 3, 2]``: which marks are filled; all where None.
        coloured: ``[layers, 3, 2]``: which marks have the colour of their line, all others being
            grey; all where None.
        hover: Template of a value.
        empty: Said where there is nothing to draw; that no layer is shared where None.
        tapped: Layers to mark.
    """
    lines = []
    for representation in representations:
        for role in roles:
            i, j = representation.position, role.position
            symbol: Any = theme.role_symbol(role)
            if filled is not None:
                symbol = np.where(filled[:, i, j], symbol, f"{symbol}-open")
            mark_color: NDArray[np.str_] | None = None
            if coloured is not None:
                own = theme.representation_color(representation, mode)
                mark_color = np.where(coloured[:, i, j], own, theme.muted_color(mode))
            lines.append(
                DepthLine.of_cell(
                    layers,
                    values[:, i, j],
                    representation,
                    role,
                    mode,
                    symbol=symbol,
                    mark_color=mark_color,
                    hover=hover,
                    reference=None if noise is None else noise[:, i, j],
                    reference_name=noise_name or _("noise"),
                )
            )
    return draw_over_depth(
        lines,
        height=height,
        revision=revision,
        mode=mode,
        empty=empty or _("The two versions share no layer that is selected."),
        tapped=tapped,
    )
