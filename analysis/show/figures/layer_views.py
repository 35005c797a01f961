"""Ready views of depth: largest activations, token norms, extremes, the shared norm's effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.show.figures import axes, theme
from analysis.show.figures.axes import Scale
from analysis.show.figures.theme import Mode
from analysis.vocabulary import Representation, TokenRole

BELOW_ONE = 0.3
"""Where an empty bin is drawn: below the axis, which begins at a half."""

_SHADES = ("solid", "dash", "dot")


def build_top_curves(
    layers: NDArray[np.integer],
    top: NDArray[np.floating],
    *,
    tapped: Sequence[int] = (),
    scale: Scale = Scale.LOG,
    mode: Mode = "light",
) -> go.Figure:
    """Draw the three largest |x| and the median |x| of each layer's output against depth.

    Args:
        layers: ``[layers]``.
        top: ``[layers, 4]``: each taken over all tokens and channels of an image, averaged over
            images.
        tapped: Layers to mark.
        scale: Of the y axis.
        mode: Light or dark.
    """
    if not len(layers):
        return theme.empty_figure("This payload has no layers.", mode)
    color = theme.representation_color(Representation.PRE, mode)
    figure = go.Figure()
    names = ("largest", "second largest", "third largest", "median")
    for index, name in enumerate(names):
        median = index == 3
        figure.add_trace(
            go.Scatter(
                x=layers.astype(np.int32),
                y=theme.as_float32(top[:, index]),
                name=name,
                mode="lines+markers",
                line={
                    "color": theme.muted_color(mode) if median else color,
                    "dash": "solid" if median else _SHADES[index],
                    "width": 2,
                },
                marker={"size": 5},
                hovertemplate="%{y:.4g}",
            )
        )
    figure = theme.apply_theme(figure, mode)
    title = axes.label_with_unit("|x|, mean over images", theme.describe_unit(Representation.PRE))
    log = scale is Scale.LOG
    figure.update_yaxes(axes.log_axis(title, top) if log else {"title": {"text": title}})
    figure.update_xaxes(axes.layer_axis(layers))
    axes.mark_layers(figure, tapped, mode)
    if scale is Scale.SYMLOG:
        axes.bend_to_symlog(figure)
    figure.update_layout(**axes.BY_LAYER, uirevision=f"top-{scale}")
    return figure


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
    total = counts.sum(axis=1, keepdims=True)
    if not inner.any():
        return theme.empty_figure("No token has a norm within the bins.", mode)
    held = np.flatnonzero(inner.any(axis=0))
    first, last = int(held[0]), int(held[-1]) + 1
    share = np.where(inner > 0, inner / np.maximum(total, 1), np.nan)[:, first:last]
    logs = np.log10(share).astype(np.float32).T
    middles = np.sqrt(edges[first:last] * edges[first + 1 : last + 1])
    figure = go.Figure(
        go.Heatmap(
            x=layers.astype(np.int32),
            y=theme.as_float32(middles),
            z=logs,
            customdata=inner[:, first:last].T.astype(np.int32),
            colorscale=theme.magnitude_scale(mode),
            colorbar=axes.magnitude_bar(logs, "share of tokens"),
            hovertemplate="layer %{x}, norm about %{y:.3g}: %{customdata:,d} tokens<extra></extra>",
            hoverongaps=False,
            name="tokens",
        )
    )
    for index, name in enumerate(("1 % below", "median", "99 % below")):
        figure.add_trace(
            go.Scatter(
                x=layers.astype(np.int32),
                y=theme.as_float32(quantiles[:, index]),
                name=name,
                mode="lines+markers" if len(layers) == 1 else "lines",
                line={
                    "color": theme.accent_color(mode),
                    "width": 2,
                    "dash": "solid" if index == 1 else "dot",
                },
                hovertemplate=f"{name}: %{{y:.4g}}<extra></extra>",
            )
        )
    figure = theme.apply_theme(figure, mode)
    figure.update_xaxes(axes.layer_axis(layers), showgrid=False)
    title = axes.label_with_unit("L2 norm of a token", unit)
    figure.update_yaxes(axes.log_axis(title, middles), showgrid=False)
    axes.mark_layers(figure, tapped, mode)
    figure.update_layout(hovermode="closest", uirevision="norm-map")
    return figure


def build_norm_histogram(
    counts: Mapping[str, NDArray[np.integer]],
    edges: NDArray[np.floating],
    *,
    unit: str,
    mode: Mode = "light",
) -> go.Figure:
    """Draw the token norms of one layer, one line per role; both axes logarithmic.

    Args:
        counts: By role ``[len(edges) + 1]``: tokens per bin, under- and overflow at the ends.
        edges: Ascending edges of the inner bins.
        unit: Of the norm.
        mode: Light or dark.
    """
    inner = {role: values[1:-1] for role, values in counts.items()}
    held = np.flatnonzero(np.any([values > 0 for values in inner.values()], axis=0))
    if not len(held):
        return theme.empty_figure("No token has a norm within the bins.", mode)
    first, last = max(int(held[0]) - 1, 0), min(int(held[-1]) + 2, len(edges) - 1)
    figure = go.Figure()
    for index, (role, values) in enumerate(inner.items()):
        shown = values[first:last]
        figure.add_trace(
            go.Scatter(
                x=theme.as_float32(np.sqrt(edges[first:last] * edges[first + 1 : last + 1])),
                y=np.where(shown > 0, shown, BELOW_ONE).astype(np.float32),
                customdata=np.column_stack(
                    [edges[first:last], edges[first + 1 : last + 1], shown]
                ).astype(np.float32),
                name=f"{theme.role_label(role)} ({int(values.sum()):,} tokens)",
                mode="lines",
                line={
                    "shape": "hvh",
                    "width": 2,
                    "color": theme.version_color(index, mode),
                    "dash": theme.role_dash(role),
                },
                hovertemplate="%{customdata[0]:.3g} to %{customdata[1]:.3g}: "
                "%{customdata[2]:,d} tokens",
            )
        )
    figure = theme.apply_theme(figure, mode)
    figure.update_xaxes(
        axes.log_axis(axes.label_with_unit("L2 norm of a token", unit), edges[first : last + 1])
    )
    most = max(values.max() for values in inner.values())
    figure.update_yaxes(
        axes.log_axis("number of tokens", np.array([1.0, most])),
        range=[-0.3, np.log10(most) + 0.1],
    )
    figure.update_layout(hovermode="closest", uirevision="norm-histogram")
    return figure


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
    if not len(layers):
        return theme.empty_figure("This payload has no layers.", mode)
    color, accent = theme.representation_color(representation, mode), theme.text_color(mode)
    figure = go.Figure()
    for name, values in (("largest value", high), ("smallest value", low)):
        figure.add_trace(
            go.Scatter(
                x=layers.astype(np.int32),
                y=theme.as_float32(values),
                name=name,
                mode="lines+markers",
                line={"color": color, "width": 2, "dash": "solid" if values is high else "dot"},
                marker={"size": 5},
                hovertemplate="%{y:.4g}",
            )
        )
    for name, values, beyond in (
        ("above the upper bound", high, high > bounds[1]),
        ("below the lower bound", low, low < bounds[0]),
    ):
        if beyond.any():
            figure.add_trace(
                go.Scatter(
                    x=layers[beyond].astype(np.int32),
                    y=theme.as_float32(values[beyond]),
                    name=f"{name} ({int(beyond.sum())})",
                    mode="markers",
                    marker={
                        "symbol": "circle-open",
                        "size": 13,
                        "color": accent,
                        "line": {"width": 2},
                    },
                    hoverinfo="skip",
                )
            )
    figure = theme.apply_theme(figure, mode)
    axes.mark_layers(figure, tapped, mode)
    for bound in bounds:
        figure.add_hline(y=bound, line={"color": accent, "width": 1, "dash": "dash"})
    figure.update_xaxes(axes.layer_axis(layers))
    figure.update_yaxes(
        title={
            "text": axes.label_with_unit(
                f"value, {theme.role_label(role)} tokens", theme.describe_unit(representation)
            )
        }
    )
    if symlog:
        axes.bend_to_symlog(figure)
    figure.update_layout(**axes.BY_LAYER, uirevision=f"range-{representation}-{role}-{symlog}")
    return figure


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
        return theme.empty_figure("Every channel is 0 here.", mode)
    channels = np.flatnonzero(drawn)
    x, y = before[drawn], after[drawn]
    marker: dict[str, object] = {
        "size": 6,
        "color": theme.representation_color(Representation.GLOBAL_LN, mode),
    }
    facts = [channels, x, y]
    template = "channel %{customdata[0]:d}<br>before %{customdata[1]:.4g} × median<br>"
    template += "after %{customdata[2]:.4g} × median"
    if gamma is not None:
        sizes = np.abs(gamma[drawn])
        logs = np.log10(np.where(sizes > 0, sizes, np.nan)).astype(np.float32)
        marker |= {
            "color": logs,
            "colorscale": theme.magnitude_scale(mode, points=True),
            "colorbar": axes.magnitude_bar(logs, "|γ| of the shared norm"),
        }
        facts.append(gamma[drawn])
        template += "<br>γ %{customdata[3]:.4g}"
    both = np.concatenate([x, y])
    ends = theme.as_float32([both.min(), both.max()])
    traces = [
        {
            "type": "scatter",
            "x": ends,
            "y": ends,
            "mode": "lines",
            "name": "as before",
            "line": {"color": theme.muted_color(mode), "dash": "dash", "width": 1},
            "hoverinfo": "skip",
        },
        {
            "type": theme.point_type(len(channels)),
            "x": theme.as_float32(x),
            "y": theme.as_float32(y),
            "customdata": np.column_stack(facts).astype(np.float32),
            "mode": "markers",
            "name": "channels",
            "showlegend": False,
            "marker": marker,
            "hovertemplate": f"{template}<extra></extra>",
        },
    ]
    # the diagonal goes on beyond the points; the axes need not
    along, up = (
        axes.log_axis(title, values)
        | {"range": [float(np.log10(values.min())) - 0.1, float(np.log10(values.max())) + 0.1]}
        for title, values in (
            ("block output: max |x| / median channel", x),
            ("after the shared norm: max |x| / median channel", y),
        )
    )
    layout = {"xaxis": along, "yaxis": up, "uirevision": "suppression-scatter"}
    return theme.make_figure(traces, layout, mode)


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
        return theme.empty_figure("No layer's output has an outlier.", mode)
    color = theme.representation_color(Representation.GLOBAL_LN, mode)
    figure = go.Figure()
    for index, role in enumerate(TokenRole):
        figure.add_trace(
            go.Scatter(
                x=layers.astype(np.int32),
                y=theme.as_float32(factor[:, index]),
                name=theme.ROLE_LABELS[role],
                mode="lines+markers",
                line={"color": color, "dash": theme.role_dash(role), "width": 2},
                marker={"size": 6, "symbol": theme.role_symbol(role)},
                hovertemplate="%{y:.3g} ×",
            )
        )
    figure = theme.apply_theme(figure, mode)
    figure.update_xaxes(axes.layer_axis(layers))
    figure.update_yaxes(
        axes.log_axis(axes.label_with_unit("suppression factor", "standing before / after"), factor)
    )
    axes.mark_layers(figure, tapped, mode)
    figure.add_hline(y=1, line={"color": theme.muted_color(mode), "width": 1})
    figure.update_layout(**axes.BY_LAYER, uirevision="suppression")
    return figure
