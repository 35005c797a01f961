"""Statistics against depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import _
from analysis.show.figures import axes, theme
from analysis.show.figures.axes import Scale
from analysis.show.figures.depth import DepthLine
from analysis.show.figures.grid import panel_title
from analysis.show.figures.theme import Mode
from analysis.vocabulary import Representation, Statistic

MAX_NAMED = 8
"""Lines of one panel that have a name each in the legend."""
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
    slot: int | None = None
    """Colour of the version, as `theme.version_color` counts them; by order where None."""


def build_depth_curves(
    curves: Sequence[DepthCurve],
    *,
    statistic: Statistic,
    aggregate: str,
    tapped: Sequence[int] = (),
    scale: Scale = Scale.LOG,
    signed: bool = False,
    facets: bool = False,
    baseline: str | None = None,
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
        baseline: The version that all values are relative to; None where they are as measured.
        mode: Light or dark.
    """
    curves = [curve for curve in curves if len(curve.layers)]
    if not curves:
        return theme.empty_figure(_("Choose a representation and a token role to draw."), mode)
    versions = list(dict.fromkeys(curve.version for curve in curves))
    shown = [r for r in Representation if any(curve.representation is r for curve in curves)]
    facets = facets or len(versions) > 1
    panels = shown if facets else shown[:1]
    crowded = not facets and len(curves) > MAX_NAMED
    traces = []
    for curve in curves:
        line = _style(curve, versions, facets=facets, mode=mode)
        (trace,) = line.draw()
        panel = axes.suffix(panels.index(curve.representation) if facets else 0)
        trace |= {"xaxis": f"x{panel}", "yaxis": f"y{panel}"}
        if facets:
            trace["showlegend"] = curve.representation is _first_with(curves, curve)
        elif crowded:
            trace["showlegend"] = False
        traces.append(trace)
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
    title = _("{what}, {aggregate} over channels").format(what=what, aggregate=_(aggregate))
    if baseline is not None:
        title = _("× that of {baseline}").format(baseline=theme.escape(baseline))
    elif not facets:  # else the unit stands above each panel
        title = axes.label_with_unit(title, *map(theme.describe_unit, shown))
    depth = axes.layer_axis(np.concatenate([c.layers for c in curves]), panels=len(panels))
    for number, panel in enumerate(panels):
        inside = [c.values for c in curves if not facets or c.representation is panel]
        height = axes.log_axis("", *inside) if scale is Scale.LOG else {}
        layout |= _build_axes(number, len(panels), depth, height)
    layout["yaxis"]["title"] = {"text": title}
    if facets:
        layout |= {"margin": {"t": 96, "r": 40}}
        layout["annotations"] += [
            panel_title(
                axes.label_with_unit(
                    theme.REPRESENTATION_LABELS[panel],
                    *([theme.describe_unit(panel)] if baseline is None else []),
                ),
                layout[f"xaxis{axes.suffix(number)}"]["domain"],
            )
            | {"font": {"size": 16}}
            for number, panel in enumerate(panels)
        ]
    if scale is Scale.LOG:
        layout["annotations"] += _note_hidden(curves)
    keys = _build_keys(curves, mode) if crowded else []
    figure = theme.make_figure([*traces, *keys, *names], layout, mode)
    if scale is Scale.SYMLOG:
        axes.bend_to_symlog(figure)
    return figure


def divide_by_baseline(curves: Sequence[DepthCurve], baseline: str) -> list[DepthCurve]:
    """Return the curves of all other versions over those of one version, layer by layer.

    Left out is what the baseline has not, a curve or a layer; NaN stands where its value is 0.
    """
    known = {(each.representation, each.role): each for each in curves if each.version == baseline}
    divided: list[DepthCurve] = []
    for curve in curves:
        below = known.get((curve.representation, curve.role))
        if curve.version == baseline or below is None:
            continue
        layers, here, there = np.intersect1d(curve.layers, below.layers, return_indices=True)
        over = np.where(below.values[there] == 0, np.nan, below.values[there])
        divided.append(replace(curve, layers=layers, values=curve.values[here] / over))
    return divided


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
        (
            _("{role_label} tokens").format(role_label=theme.role_label(role)),
            theme.text_color(mode),
            theme.role_dash(role),
        )
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


def _build_axes(
    panel: int, panels: int, depth: dict[str, object], height: dict[str, object]
) -> dict[str, Any]:
    """Return the two axes of a panel beside others."""
    width = (1 - _SPACING * (panels - 1)) / panels
    left, suffix = panel * (width + _SPACING), axes.suffix(panel)
    domain = [left, min(left + width, 1.0)]
    return {
        f"xaxis{suffix}": {**depth, "domain": domain, "anchor": f"y{suffix}"},
        f"yaxis{suffix}": {**height, "anchor": f"x{suffix}"},
    }


def _style(curve: DepthCurve, versions: Sequence[str], *, facets: bool, mode: Mode) -> DepthLine:
    """Return the line of a curve: of several versions the colour is the version."""
    role = theme.role_label(curve.role)
    parts = [curve.version] if len(versions) > 1 else []
    parts += [role] if facets else [theme.describe_cell(curve.representation, curve.role)]
    line = DepthLine.of_cell(
        *(curve.layers, curve.values, curve.representation, curve.role, mode),
        name=", ".join(parts),
    )
    if len(versions) == 1:
        return line
    slot = versions.index(curve.version) if curve.slot is None else curve.slot
    return replace(line, color=theme.version_color(slot, mode))


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
            "text": _("{hidden} values of 0 or less have no place on a logarithmic axis").format(
                hidden=hidden
            ),
            "showarrow": False,
            "xref": "paper",
            "yref": "paper",
            "x": 1,
            "y": 0,
            "xanchor": "right",
            "yanchor": "bottom",
        }
    ]
