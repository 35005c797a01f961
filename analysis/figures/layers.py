"""Statistics against depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from analysis.figures import axes, theme
from analysis.figures.theme import Mode
from analysis.vocabulary import Representation, Statistic


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
    log: bool = True,
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
        log: Logarithmic y axis; values of 0 have no place there and a note counts them.
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
    figure = _build_panels(panels, facets)
    for curve in curves:
        index = panels.index(curve.representation) if facets else 0
        color = (
            theme.version_color(versions.index(curve.version), mode)
            if len(versions) > 1
            else theme.representation_color(curve.representation, mode)
        )
        first = not facets or curve.representation is _first_with(curves, curve)
        figure.add_trace(
            _build_line(curve, color, several=len(versions) > 1, facets=facets, legend=first),
            row=1,
            col=index + 1,
        )
    figure = theme.apply_theme(figure, mode)
    name = f"|{statistic}|" if statistic is Statistic.MEAN else theme.STATISTIC_LABELS[statistic]
    title = f"{name}, {aggregate} over channels"
    if facets:  # the unit stands above each panel
        figure.update_layout(margin={"t": 96}, legend={"y": 1.16})
    else:
        title = axes.label_with_unit(title, *map(theme.describe_unit, shown))
    if log:
        for column, panel in enumerate(panels, start=1):
            inside = [c.values for c in curves if not facets or c.representation is panel]
            figure.update_yaxes(axes.log_axis("", *inside), row=1, col=column)
    figure.update_yaxes(title={"text": title}, row=1, col=1)
    figure.update_xaxes(
        axes.layer_axis(np.concatenate([c.layers for c in curves]), panels=len(panels))
    )
    axes.mark_layers(figure, tapped, mode, panels=len(panels))
    if log:
        _note_hidden_zeros(figure, curves)
    figure.update_layout(
        hovermode="x unified", uirevision=f"depth-{statistic}-{aggregate}-{log}-{len(panels)}"
    )
    return figure


def _build_panels(panels: Sequence[Representation], facets: bool) -> go.Figure:
    titles = [
        axes.label_with_unit(theme.REPRESENTATION_LABELS[panel], theme.describe_unit(panel))
        for panel in panels
    ]
    return make_subplots(
        rows=1,
        cols=len(panels),
        subplot_titles=titles if facets else None,
        horizontal_spacing=0.09,
        shared_xaxes=True,
    )


def _build_line(
    curve: DepthCurve, color: str, *, several: bool, facets: bool, legend: bool
) -> go.Scatter:
    role = theme.role_label(curve.role)
    parts = [curve.version] if several else []
    parts += [role] if facets else [theme.REPRESENTATION_LABELS[curve.representation], role]
    name = ", ".join(parts)
    return go.Scatter(
        x=curve.layers.astype(np.int32),
        y=theme.as_float32(curve.values),
        name=name,
        legendgroup=name,
        showlegend=legend,
        mode="lines+markers",
        line={"color": color, "dash": theme.role_dash(curve.role), "width": 2},
        marker={"color": color, "symbol": theme.role_symbol(curve.role), "size": 5},
        hovertemplate="%{y:.4g}",
    )


def _first_with(curves: Sequence[DepthCurve], curve: DepthCurve) -> Representation:
    """Return the representation of the first line that shares this line's legend entry."""
    return next(
        c.representation for c in curves if (c.version, c.role) == (curve.version, curve.role)
    )


def _note_hidden_zeros(figure: go.Figure, curves: Sequence[DepthCurve]) -> None:
    hidden = sum(int((curve.values <= 0).sum()) for curve in curves)
    if hidden:
        figure.add_annotation(
            text=f"{hidden} values of 0 have no place on a logarithmic axis",
            showarrow=False,
            xref="paper",
            yref="paper",
            x=1,
            y=0,
            xanchor="right",
            yanchor="bottom",
        )
