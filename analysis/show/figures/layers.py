"""Statistics against depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.show.figures import axes, theme
from analysis.show.figures.axes import Scale
from analysis.show.figures.theme import Mode
from analysis.vocabulary import Representation, Statistic

MAX_NAMED = 8
"""Lines of one panel that have a name each in the legend."""
MAX_MARKED = 24
"""Layers up to which each has a marker; more of them hide the dashes."""

_SPACING = 0.09
"""Between panels, of the width of all."""


@dataclass(frozen=True)
class DepthCurve:
    """One line: one number per layer."""

    layers: NDArray[np.integer]
    """``[layers]``: block indices."""
    values: NDArray[np.floating]
    """``[layers]``."""
    representation: Representation
    role: str
    """A token role, or a storage token (``storage_0`` ...)."""
    version: str


def build_depth_curves(
    curves: Sequence[DepthCurve],
    *,
    statistic: Statistic,
    aggregate: str,
    tapped: Sequence[int] = (),
    scale: Scale = Scale.LOG,
    signed: bool = False,
    facets: bool = False,
    mode: Mode = "light",
) -> go.Figure:
    """Draw a statistic, aggregated over channels, against depth.

    In one panel the colour is the representation. With several versions there is one panel per
    representation, and the colour is the version. The dash is the token role in both.

    Args:
        curves: The lines, in legend order.
        statistic: What the values are.
        aggregate: How they were made of all channels, in words.
        tapped: Layers to mark.
        scale: Of the y axis; values of 0 or less have no place on a logarithmic one and a note
            counts them.
        signed: Whether the mean was aggregated with its sign.
        facets: One panel per representation also for one version.
        mode: Light or dark.
    """
    curves = [curve for curve in curves if len(curve.layers)]
    if not curves:
        return theme.empty_figure("Choose a representation and a token role to draw.", mode)
    versions = list(dict.fromkeys(curve.version for curve in curves))
    shown = [r for r in Representation if any(curve.representation is r for curve in curves)]
    facets = facets or len(versions) > 1
    panels = shown if facets else shown[:1]
    several = len(versions) > 1
    crowded = not facets and len(curves) > MAX_NAMED
    traces = []
    for curve in curves:
        color = (
            theme.version_color(versions.index(curve.version), mode)
            if several
            else theme.representation_color(curve.representation, mode)
        )
        panel = panels.index(curve.representation) if facets else 0
        line = _build_line(curve, color, several=several, facets=facets) | _place(panel)
        if facets:
            line["showlegend"] = curve.representation is _first_with(curves, curve)
        elif crowded:
            line["showlegend"] = False
        traces.append(line)
    shapes, names = axes.tapped_marks(tapped, mode, panels=len(panels))
    layout: dict[str, Any] = {
        **axes.BY_LAYER,
        "shapes": shapes,
        "annotations": [],
        "uirevision": f"depth-{statistic}-{aggregate}-{scale}-{signed}-{len(panels)}",
        "legend": {"itemwidth": 40},  # a long dash and its gap
    }
    sized = statistic is Statistic.MEAN and not signed
    what = f"|{statistic}|" if sized else theme.STATISTIC_LABELS[statistic]
    title = f"{what}, {aggregate} over channels"
    if not facets:  # else the unit stands above each panel
        title = axes.label_with_unit(title, *map(theme.describe_unit, shown))
    depth = axes.layer_axis(np.concatenate([c.layers for c in curves]), panels=len(panels))
    for number, panel in enumerate(panels):
        inside = [c.values for c in curves if not facets or c.representation is panel]
        height = axes.log_axis("", *inside) if scale is Scale.LOG else {}
        layout |= _build_axes(number, len(panels), depth, height)
    layout["yaxis"]["title"] = {"text": title}
    if facets:
        layout |= {"margin": {"t": 96, "r": 40}, "legend": {"y": 1.16, "itemwidth": 40}}
        layout["annotations"] += [
            _build_title(panel, layout[f"xaxis{_suffix(number)}"]["domain"])
            for number, panel in enumerate(panels)
        ]
    if scale is Scale.LOG:
        layout["annotations"] += _note_hidden(curves)
    keys = _build_keys(curves, mode) if crowded else []
    figure = theme.make_figure([*traces, *keys, *names], layout, mode)
    if scale is Scale.SYMLOG:
        axes.bend_to_symlog(figure)
    return figure


def _build_keys(curves: Sequence[DepthCurve], mode: Mode) -> list[dict[str, object]]:
    """Return what explains colours and dashes apart: a name for each pair would fill the page."""
    nowhere = np.array([np.nan], dtype=np.float32)
    representations = dict.fromkeys(curve.representation for curve in curves)
    styles = [
        (theme.REPRESENTATION_LABELS[r], theme.representation_color(r, mode), "solid")
        for r in representations
    ]
    roles = dict.fromkeys(curve.role for curve in curves)
    styles += [
        (f"{theme.role_label(role)} tokens", theme.text_color(mode), theme.role_dash(role))
        for role in roles
    ]
    return [
        {
            "type": "scatter",
            "x": nowhere,
            "y": nowhere,
            "mode": "lines",
            "name": name,
            "legendgroup": name,  # those without a group would stand below each other
            "line": {"color": color, "dash": dash, "width": 2},
            "hoverinfo": "skip",
        }
        for name, color, dash in styles
    ]


def _suffix(panel: int) -> str:
    """Return what the axes of a panel have behind their name."""
    return str(panel + 1) if panel else ""


def _place(panel: int) -> dict[str, str]:
    return {"xaxis": f"x{_suffix(panel)}", "yaxis": f"y{_suffix(panel)}"}


def _build_axes(
    panel: int, panels: int, depth: dict[str, object], height: dict[str, object]
) -> dict[str, Any]:
    """Return the two axes of a panel beside others."""
    width = (1 - _SPACING * (panels - 1)) / panels
    left, suffix = panel * (width + _SPACING), _suffix(panel)
    domain = [left, min(left + width, 1.0)]
    return {
        f"xaxis{suffix}": {**depth, "domain": domain, "anchor": f"y{suffix}"},
        f"yaxis{suffix}": {**height, "anchor": f"x{suffix}"},
    }


def _build_title(panel: Representation, domain: Sequence[float]) -> dict[str, object]:
    """Return what stands above a panel."""
    return {
        "text": axes.label_with_unit(
            theme.REPRESENTATION_LABELS[panel], theme.describe_unit(panel)
        ),
        "font": {"size": 16},
        "showarrow": False,
        "x": sum(domain) / 2,
        "xanchor": "center",
        "xref": "paper",
        "y": 1.0,
        "yanchor": "bottom",
        "yref": "paper",
    }


def _build_line(curve: DepthCurve, color: str, *, several: bool, facets: bool) -> dict[str, Any]:
    role = theme.role_label(curve.role)
    parts = [curve.version] if several else []
    parts += [role] if facets else [theme.REPRESENTATION_LABELS[curve.representation], role]
    name = ", ".join(parts)
    return {
        "type": "scatter",
        "x": curve.layers.astype(np.int32),
        "y": theme.as_float32(curve.values),
        "name": name,
        "legendgroup": name,
        "mode": "lines+markers" if len(curve.layers) <= MAX_MARKED else "lines",
        "line": {"color": color, "dash": theme.role_dash(curve.role), "width": 2},
        "marker": {"color": color, "symbol": theme.role_symbol(curve.role), "size": 5},
        "hovertemplate": "%{y:.4g}",
    }


def _first_with(curves: Sequence[DepthCurve], curve: DepthCurve) -> Representation:
    """Return the representation of the first line that shares this line's legend entry."""
    return next(
        c.representation for c in curves if (c.version, c.role) == (curve.version, curve.role)
    )


def _note_hidden(curves: Sequence[DepthCurve]) -> list[dict[str, object]]:
    hidden = sum(int((curve.values <= 0).sum()) for curve in curves)
    if not hidden:
        return []
    return [
        {
            "text": f"{hidden} values of 0 or less have no place on a logarithmic axis",
            "showarrow": False,
            "xref": "paper",
            "yref": "paper",
            "x": 1,
            "y": 0,
            "xanchor": "right",
            "yanchor": "bottom",
        }
    ]
