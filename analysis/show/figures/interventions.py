"""Figures of interventions: the effect over depth beside random channels, and a sweep as a map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import _
from analysis.read.interventions import Curve
from analysis.show.figures import axes, theme
from analysis.show.figures.depth import DepthLine, draw_over_depth
from analysis.show.figures.grid import draw_grid
from analysis.show.figures.theme import Mode
from analysis.vocabulary import Representation, TokenRole


def build_effect_curves(
    curves: Sequence[tuple[TokenRole, Curve]], *, label: str, mode: Mode = "light"
) -> go.Figure:
    """Draw the effect over depth, and the largest effect of random channels as a thin line.

    Args:
        curves: One for each role.
        label: Title of the y axis, with unit.
        mode: Light or dark.
    """
    lines = []
    for role, curve in curves:
        limit = curve.controls.max(axis=0) if len(curve.controls) else None
        lines.append(
            DepthLine.of_cell(
                curve.layers,
                curve.chosen,
                Representation.PRE,
                role,
                mode,
                name=_("{role_label} tokens").format(role_label=theme.role_label(role)),
                reference=limit,
                reference_name=_("largest of the random channels"),
            )
        )
    return draw_over_depth(
        lines,
        height={"title": {"text": label}, "rangemode": "tozero"},
        revision=label,
        mode=mode,
        empty=_("The result holds no layer."),
    )


def build_sweep(
    channels: Sequence[int],
    layers: Sequence[int],
    effects: NDArray[np.floating],
    controls: NDArray[np.floating],
    *,
    mode: Mode = "light",
) -> go.Figure:
    """Draw the effect of each channel from each start layer on, controls in the last row.

    Args:
        channels: Rows.
        layers: Columns.
        effects: ``[channels, layers]``: relative change; NaN where it was not run.
        controls: ``[layers]``: the largest of the random channels; NaN without.
        mode: Light or dark.
    """
    rows = [_("channel {channel}").format(channel=channel) for channel in channels]
    values = np.asarray(effects)
    if not np.isnan(controls).all():
        rows, values = [*rows, _("random channels")], np.vstack([values, controls[None]])
    trace = draw_grid(
        values,
        mode,
        x=np.asarray(layers, dtype=np.int32),
        y=np.arange(len(rows), dtype=np.int32),
        colorbar={"title": {"text": _("relative change")}, "tickformat": ".0%"},
        text=np.array([[row] * values.shape[1] for row in rows]),
        hovertemplate=_("%{text} from layer %{x} on: %{z:.2%}<extra></extra>"),
    )
    return theme.make_figure(
        [trace],
        {
            "xaxis": {**axes.layer_axis(np.asarray(layers)), "title": {"text": _("from layer")}},
            "yaxis": {
                "tickmode": "array",
                "tickvals": list(range(len(rows))),
                "ticktext": rows,
                "autorange": "reversed",
            },
            "uirevision": "sweep",
        },
        mode,
    )
