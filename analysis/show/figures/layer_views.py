"""Ready views of depth: largest activations, token norms, extremes, the shared norm's effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import _
from analysis.show.figures import axes, theme
from analysis.show.figures.axes import Scale
from analysis.show.figures.cloud import draw_channels, draw_diagonal
from analysis.show.figures.depth import DepthLine, draw_over_depth
from analysis.show.figures.grid import draw_magnitudes
from analysis.show.figures.theme import Mode
from analysis.vocabulary import Representation, TokenRole

_SHADES = ("solid", "dash", "dot")


def build_top_curves(
    layers: NDArray[np.integer],
    top: NDArray[np.floating],
    *,
    tapped: Sequence[int] = (),
    scale: Scale = Scale.LOG,
    of: str | None = None,
    mode: Mode = "light",
) -> go.Figure:
    """Draw the three largest |x| and the median |x| of each layer's output against depth.

    Args:
        layers: ``[layers]``.
        top: ``[layers, 4]``: each taken over all tokens and channels of an image, averaged over
            images.
        tapped: Layers to mark.
        scale: Of the y axis.
        of: What is drawn, for the y axis; the mean over images where None.
        mode: Light or dark.
    """
    color = theme.representation_color(Representation.PRE, mode)
    names = (_("largest"), _("second largest"), _("third largest"))
    lines = [
        DepthLine(layers, top[:, index], name, color, _SHADES[index])
        for index, name in enumerate(names)
    ]
    lines.append(DepthLine(layers, top[:, 3], _("median"), theme.muted_color(mode)))
    of = of or _("|x|, mean over images")
    title = axes.label_with_unit(of, theme.describe_unit(Representation.PRE))
    return draw_over_depth(
        lines,
        height=axes.log_axis(title, top) if scale is Scale.LOG else {"title": {"text": title}},
        tapped=tapped,
        symlog=scale is Scale.SYMLOG,
        revision=f"top-{scale}",
        mode=mode,
    )


def build_norm_map(
    layers: NDArray[np.integer],
    counts: NDArray[np.integer],
    edges: NDArray[np.floating],
    quantiles: NDArray[np.floating],
    *,
    unit: str,
    tapped: Sequence[int] = (),
    mode: Mode = "light",
) -> go.Figure:
    """Draw how token norms are spread in every layer, with three quantiles along depth.

    Args:
        layers: ``[layers]``.
        counts: ``[layers, len(edges) + 1]``: tokens per bin, under- and overflow at the ends.
        edges: Ascending edges of the inner bins.
        quantiles: ``[layers, 3]``: 1 %, 50 % and 99 %.
        unit: Of the norm.
        tapped: Layers to mark.
        mode: Light or dark.
    """
    inner = counts[:, 1:-1]
    if not inner.any():
        return theme.empty_figure(_("No token has a norm within the bins."), mode)
    filled = np.flatnonzero(inner.any(axis=0))
    first, last = int(filled[0]), int(filled[-1]) + 1
    middles = np.sqrt(edges[first:last] * edges[first + 1 : last + 1])
    cells = draw_magnitudes(
        (inner / np.maximum(counts.sum(axis=1, keepdims=True), 1))[:, first:last].T,
        mode,
        x=layers.astype(np.int32),
        y=theme.as_float32(middles),
        label=_("share of tokens"),
        name=_("tokens"),
        customdata=inner[:, first:last].T.astype(np.int32),
        hovertemplate=_("layer %{x}, norm about %{y:.3g}: %{customdata:,d} tokens<extra></extra>"),
    )
    alone = {"mode": "lines+markers" if len(layers) == 1 else "lines"}
    lines = [
        DepthLine(
            *(layers, quantiles[:, index], name, theme.accent_color(mode), dash),
            hover=f"{name}: %{{y:.4g}}<extra></extra>",
            keys=alone,
        )
        for index, (name, dash) in enumerate(
            [(_("1% below"), "dot"), (_("median"), "solid"), (_("99% below"), "dot")]
        )
    ]
    height = axes.log_axis(axes.label_with_unit(_("L2 norm of a token"), unit), middles)
    return draw_over_depth(
        lines,
        below=[cells],
        height=height | {"showgrid": False},
        tapped=tapped,
        revision="norm-map",
        layout={
            "xaxis": axes.layer_axis(layers) | {"showgrid": False},
            **axes.BY_POINT,
        },
        mode=mode,
    )


def build_range_curves(
    layers: NDArray[np.integer],
    low: NDArray[np.floating],
    high: NDArray[np.floating],
    *,
    bounds: tuple[float, float],
    representation: Representation,
    role: str,
    tapped: Sequence[int] = (),
    symlog: bool = False,
    mode: Mode = "light",
) -> go.Figure:
    """Draw the smallest and largest value of every layer, with two bounds.

    Args:
        layers: ``[layers]``.
        low: ``[layers]``: smallest value over channels and tokens.
        high: ``[layers]``: largest value.
        bounds: Lower and upper; layers beyond them are marked.
        representation: What the values are of.
        role: Which tokens.
        tapped: Layers to mark.
        symlog: Logarithmic on both sides of zero.
        mode: Light or dark.
    """
    color = theme.representation_color(representation, mode)
    lines = [
        DepthLine(layers, high, _("largest value"), color),
        DepthLine(layers, low, _("smallest value"), color, "dot"),
    ]
    ring = {"symbol": "circle-open", "size": 13, "color": theme.text_color(mode)}
    rings = [
        {
            "type": "scatter",
            "x": layers[beyond].astype(np.int32),
            "y": theme.as_float32(values[beyond]),
            "name": f"{name} ({int(beyond.sum())})",
            "mode": "markers",
            "marker": {**ring, "line": {"width": 2}},
            "hoverinfo": "skip",
        }
        for name, values, beyond in (
            (_("above the upper bound"), high, high > bounds[1]),
            (_("below the lower bound"), low, low < bounds[0]),
        )
        if beyond.any()
    ]
    unit = theme.describe_unit(representation)
    title = axes.label_with_unit(
        _("value, {role_label} tokens").format(role_label=theme.role_label(role)), unit
    )
    return draw_over_depth(
        lines,
        above=rings,
        levels=bounds,
        height={"title": {"text": title}},
        tapped=tapped,
        symlog=symlog,
        revision=f"range-{representation}-{role}-{symlog}",
        mode=mode,
    )


def build_suppression_scatter(
    before: NDArray[np.floating],
    after: NDArray[np.floating],
    *,
    gamma: NDArray[np.floating] | None = None,
    mode: Mode = "light",
) -> go.Figure:
    """Draw each channel's standing before and after the shared norm, coloured by |γ|.

    Args:
        before: ``[channels]``: max |x| of the block output over that of the median channel.
        after: ``[channels]``: the same after the shared norm. Below the diagonal a channel is
            held down.
        gamma: ``[channels]``: the norm's scale; one colour where None.
        mode: Light or dark.
    """
    drawn = (before > 0) & (after > 0)
    if not drawn.any():
        return theme.empty_figure(_("Every channel is 0 here."), mode)
    x, y = before[drawn], after[drawn]
    color = theme.representation_color(Representation.GLOBAL_LN, mode)
    marker: dict[str, Any] = {"size": 6, "color": color}
    facts = [x, y]
    hover = _("before %{customdata[1]:.4g} × median<br>after %{customdata[2]:.4g} × median")
    if gamma is not None:
        sizes = np.abs(gamma[drawn])
        logs = np.log10(np.where(sizes > 0, sizes, np.nan)).astype(np.float32)
        marker |= {
            "color": logs,
            "colorscale": theme.magnitude_scale(mode, points=True),
            "colorbar": axes.magnitude_bar(logs, _("|γ| of the shared norm")),
        }
        facts.append(gamma[drawn])
        hover += "<br>γ %{customdata[3]:.4g}"
    channels = np.flatnonzero(drawn)
    points = draw_channels(
        x, y, facts, hover, name=_("channels"), marker=marker, channels=channels
    ) | {"showlegend": False}
    both = np.concatenate([x, y])
    diagonal = draw_diagonal(both.min(), both.max(), _("as before"), mode)
    # the diagonal goes on beyond the points; the axes need not
    along, up = (
        axes.log_axis(title, values)
        | {"range": [float(np.log10(values.min())) - 0.1, float(np.log10(values.max())) + 0.1]}
        for title, values in (
            (_("block output: max |x| / median channel"), x),
            (_("after the shared norm: max |x| / median channel"), y),
        )
    )
    layout = {"xaxis": along, "yaxis": up, "uirevision": "suppression-scatter"}
    return theme.make_figure([diagonal, points], layout, mode)


def build_suppression_curve(
    layers: NDArray[np.integer],
    factor: NDArray[np.floating],
    *,
    tapped: Sequence[int] = (),
    mode: Mode = "light",
) -> go.Figure:
    """Draw by what factor the shared norm lowers the outliers of each layer.

    Args:
        layers: ``[layers]``.
        factor: ``[layers, 2]``, CLS and patch; NaN where there are no outliers. Below 1 the norm
            lifts them.
        tapped: Layers to mark.
        mode: Light or dark.
    """
    if not np.isfinite(factor).any():
        return theme.empty_figure(_("No layer's output has an outlier."), mode)
    lines = [
        DepthLine.of_cell(
            *(layers, factor[:, index], Representation.GLOBAL_LN, role, mode),
            name=theme.ROLE_LABELS[role],
            hover="%{y:.3g} ×",
        )
        for index, role in enumerate(TokenRole)
    ]
    title = axes.label_with_unit(_("suppression factor"), _("standing before / after"))
    height = axes.log_axis(title, factor)
    return draw_over_depth(
        lines, height=height, levels=(1,), tapped=tapped, revision="suppression", mode=mode
    )
