"""One channel among the others: through depth, in the histogram, in the mean-std plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.show.figures import axes, theme
from analysis.show.figures.theme import Mode
from analysis.vocabulary import Representation, Statistic, TokenRole

BINS = 60
SPARSE = 512
"""Up to so many channels points are drawn larger."""
BELOW_ONE = 0.3
"""Where an empty bin of an outline is drawn: below the axis, which begins at a half."""


def build_channel_depth(
    layers: NDArray[np.integer],
    values: NDArray[np.floating],
    cells: Sequence[tuple[Representation, TokenRole]],
    *,
    statistic: Statistic,
    reference: NDArray[np.floating] | None = None,
    tapped: Sequence[int] = (),
    symlog: bool = False,
    mode: Mode = "light",
) -> go.Figure:
    """Draw one channel's statistic against depth, with the median channel behind it.

    Args:
        layers: ``[layers]``.
        values: ``[lines, layers]``; the mean is drawn signed on a linear (or symlog) axis, others
            on a logarithmic one.
        cells: Representation and role of each line.
        statistic: What the values are.
        reference: ``[lines, layers]``: the median over all channels; drawn thin.
        tapped: Layers to mark.
        symlog: Logarithmic on both sides of zero, for the mean.
        mode: Light or dark.
    """
    if not len(cells) or not len(layers):
        return theme.empty_figure("Choose a representation and a token role to draw.", mode)
    traces: list[dict[str, object]] = []
    for index, cell in enumerate(cells):
        drawn = _draw_line(layers, theme.as_float32(values[index]), cell, "%{y:.4g}", mode)
        traces.append(drawn)
        if reference is not None:
            traces.append(
                drawn
                | {
                    "y": theme.as_float32(reference[index]),
                    "name": f"{drawn['name']}: median channel",
                    "showlegend": False,
                    "mode": "lines",
                    "line": {**_style(cell, mode), "width": 1},
                    "opacity": 0.5,
                }
            )
    units = [theme.describe_unit(representation) for representation, _ in cells]
    title = axes.label_with_unit(theme.STATISTIC_LABELS[statistic], *units)
    signed = statistic is Statistic.MEAN
    shapes, names = axes.tapped_marks(tapped, mode)
    layout = {
        **axes.BY_LAYER,
        "shapes": shapes,
        "xaxis": axes.layer_axis(layers),
        "yaxis": {"title": {"text": title}} if signed else axes.log_axis(title, values),
        "uirevision": f"channel-depth-{statistic}-{symlog}",
    }
    figure = theme.make_figure([*traces, *names], layout, mode)
    if signed and symlog:
        axes.bend_to_symlog(figure)
    return figure


def build_rank_curves(
    layers: NDArray[np.integer],
    ranks: NDArray[np.integer],
    cells: Sequence[tuple[Representation, TokenRole]],
    *,
    channels: int,
    tapped: Sequence[int] = (),
    mode: Mode = "light",
) -> go.Figure:
    """Draw a channel's rank by max |x| in every layer, the first place at the top.

    Args:
        layers: ``[layers]``.
        ranks: ``[lines, layers]``: from 1.
        cells: Representation and role of each line.
        channels: How many are ranked.
        tapped: Layers to mark.
        mode: Light or dark.
    """
    if not len(cells) or not len(layers):
        return theme.empty_figure("Choose a representation and a token role to draw.", mode)
    traces = [
        _draw_line(layers, line.astype(np.int32), cell, "%{y:d}", mode)
        for line, cell in zip(ranks, cells, strict=True)
    ]
    shapes, names = axes.tapped_marks(tapped, mode)
    places = axes.log_axis(f"rank among {channels:,} channels", np.array([1.0, channels]))
    layout = {
        **axes.BY_LAYER,
        "shapes": shapes,
        "xaxis": axes.layer_axis(layers),
        "yaxis": places | {"range": [float(np.log10(channels)) + 0.05, -0.15]},
        "uirevision": "channel-rank",
    }
    return theme.make_figure([*traces, *names], layout, mode)


def _draw_line(
    layers: NDArray[np.integer],
    values: NDArray[np.float32] | NDArray[np.int32],
    cell: tuple[Representation, TokenRole],
    template: str,
    mode: Mode,
) -> dict[str, object]:
    style, name = _style(cell, mode), _name(cell)
    return {
        "type": "scatter",
        "x": layers.astype(np.int32),
        "y": values,
        "name": name,
        "legendgroup": name,
        "mode": "lines+markers",
        "line": style,
        "marker": {"symbol": theme.role_symbol(cell[1]), "size": 5, "color": style["color"]},
        "hovertemplate": template,
    }


def _style(cell: tuple[Representation, TokenRole], mode: Mode) -> dict[str, object]:
    representation, role = cell
    color = theme.representation_color(representation, mode)
    return {"color": color, "dash": theme.role_dash(role), "width": 2}


def _name(cell: tuple[Representation, TokenRole]) -> str:
    representation, role = cell
    return f"{theme.REPRESENTATION_LABELS[representation]}, {theme.ROLE_LABELS[role]}"


def build_value_histogram(
    values: NDArray[np.floating],
    *,
    channel: int | None,
    value_label: str,
    others: Mapping[tuple[Representation, TokenRole], NDArray[np.floating]] | None = None,
    mode: Mode = "light",
) -> go.Figure:
    """Draw how a statistic is spread over all channels, in logarithmic bins.

    Args:
        values: ``[channels]``; the sizes are counted, zeros are told in a note.
        channel: The channel to mark.
        value_label: Axis title, with unit.
        others: The same statistic of other cells, ``[channels]`` each, as outlines in the same
            bins.
        mode: Light or dark.
    """
    sizes = np.abs(np.asarray(values, dtype=np.float64))
    positive = sizes[sizes > 0]
    if not len(positive):
        return theme.empty_figure("Every channel is 0 here.", mode)
    outlines = {
        cell: np.log10(found[found > 0])
        for cell, other in (others or {}).items()
        for found in [np.abs(np.asarray(other, dtype=np.float64))]
    }
    drawn = np.concatenate([np.log10(positive), *outlines.values()])
    low, high = drawn.min() - 0.01, drawn.max() + 0.01
    counts, edges = np.histogram(np.log10(positive), bins=BINS, range=(low, high))
    outlined = {
        cell: np.histogram(found, bins=BINS, range=(low, high))[0]
        for cell, found in outlines.items()
    }
    middles = 10 ** ((edges[:-1] + edges[1:]) / 2)
    bounds = theme.as_float32(np.column_stack([10 ** edges[:-1], 10 ** edges[1:]]))
    bars = {
        "type": "bar",
        "x": theme.as_float32(middles),
        "y": counts.astype(np.int32),
        "width": theme.as_float32(np.diff(10**edges)),
        "customdata": bounds,
        "marker": {"color": theme.muted_color(mode), "line": {"width": 0}},
        "name": "channels",
        "hovertemplate": "%{customdata[0]:.3g} to %{customdata[1]:.3g}: %{y:d} channels"
        "<extra></extra>",
        "showlegend": False,
    }
    lines = [
        {
            "type": "scatter",
            "x": theme.as_float32(middles),
            "y": theme.as_float32(np.where(found > 0, found, BELOW_ONE)),
            "customdata": np.column_stack([bounds, found]).astype(np.float32),
            "mode": "lines",
            "name": _name(cell),
            "line": {**_style(cell, mode), "shape": "hvh", "width": 1.5},
            "hovertemplate": "%{customdata[0]:.3g} to %{customdata[1]:.3g}: "
            "%{customdata[2]:d} channels",
        }
        for cell, found in outlined.items()
    ]
    thin = {"color": theme.text_color(mode), "width": 1, "dash": "dash"}
    marks = [_mark_value(float(np.median(positive)), "median", thin, shift=0)]
    if channel is not None and sizes[channel] > 0:
        line = {"color": theme.accent_color(mode), "width": 2}
        # its name above the median's, which may stand at the same place
        marks.append(_mark_value(float(sizes[channel]), f"channel {channel}", line, shift=16))
    zeros = len(sizes) - len(positive)
    note = f"; {zeros} at 0 not drawn" if zeros else ""
    # Logarithmic here too: an outlier is one channel among thousands.
    most = max(int(found.max()) for found in [counts, *outlined.values()])
    numbers = axes.log_axis(f"number of channels{note}", np.array([1.0, most]))
    layout: dict[str, object] = {
        "shapes": [shape for shape, _ in marks],
        "annotations": [name for _, name in marks],
        "xaxis": axes.log_axis(value_label, 10**drawn),
        "yaxis": numbers | {"range": [-0.3, float(np.log10(most)) + 0.1]},
        "bargap": 0,
        "uirevision": f"histogram-{value_label}",
    }
    if outlined:  # the legend above the names of the lines
        layout |= {"legend": {"y": 1.12}, "margin": {"t": 80}}
    return theme.make_figure([bars, *lines], layout, mode)


def _mark_value(
    value: float, name: str, line: Mapping[str, object], *, shift: int
) -> tuple[dict[str, object], dict[str, object]]:
    """Return a line across a logarithmic axis, and its name above the plot."""
    shape: dict[str, object] = {
        **{"type": "line", "x0": value, "x1": value, "y0": 0, "y1": 1, "yref": "y domain"},
        "line": line,
    }
    note: dict[str, object] = {
        "x": float(np.log10(value)),
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "yshift": shift,
        "text": name,
        "font": {"color": line["color"]},
        "showarrow": False,
    }
    return shape, note


def build_mean_std_scatter(
    statistics: NDArray[np.floating],
    *,
    channel: int | None = None,
    unit: str,
    mode: Mode = "light",
) -> go.Figure:
    """Draw every channel by |mean| and std, coloured by max |x|; both axes logarithmic.

    Args:
        statistics: ``[3, channels]``: mean, std, max_abs.
        channel: The channel to mark.
        unit: Of all three, for the titles.
        mode: Light or dark.
    """
    mean, std, max_abs = np.asarray(statistics, dtype=np.float64)
    positive = np.concatenate([np.abs(mean)[mean != 0], std[std > 0]])
    if not len(positive):
        return theme.empty_figure("Every channel is 0 here.", mode)
    floor = positive.min() / 2
    x, y = np.maximum(np.abs(mean), floor), np.maximum(std, floor)
    color = np.log10(np.maximum(max_abs, floor)).astype(np.float32)
    marker = {
        "color": color,
        "colorscale": theme.magnitude_scale(mode, points=True),
        "colorbar": axes.magnitude_bar(color, f"max |x| ({unit})"),
    }
    template = (
        "mean %{customdata[1]:.4g}<br>std %{customdata[2]:.4g}<br>max |x| %{customdata[3]:.4g}"
    )
    layout = {
        "xaxis": axes.log_axis(axes.label_with_unit("|mean| over tokens", unit), x),
        "yaxis": axes.log_axis(axes.label_with_unit("std over tokens", unit), y),
        "uirevision": f"mean-std-{unit}",
    }
    return _draw_plane(x, y, [mean, std, max_abs], template, marker, layout, channel, mode)


def build_pair_scatter(
    sizes: tuple[NDArray[np.floating], NDArray[np.floating]],
    pair: tuple[Representation, Representation],
    *,
    statistic: Statistic,
    channel: int | None = None,
    mode: Mode = "light",
) -> go.Figure:
    """Draw every channel by a statistic in two representations; both axes logarithmic.

    The axes have units of their own, so there is no diagonal: what matters is who leaves the line
    of the others.

    Args:
        sizes: ``[channels]`` each, 0 or more; of the mean its size.
        pair: The representations along x and y.
        statistic: What is drawn.
        channel: The channel to mark.
        mode: Light or dark.
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in sizes)
    if not (x > 0).any() or not (y > 0).any():
        return theme.empty_figure("Every channel is 0 here.", mode)
    name = "|mean|" if statistic is Statistic.MEAN else theme.STATISTIC_LABELS[statistic]
    labels = [theme.REPRESENTATION_LABELS[representation] for representation in pair]
    template = "<br>".join(
        f"{label}: {name} %{{customdata[{index}]:.4g}}" for index, label in enumerate(labels, 1)
    )
    drawn = [np.maximum(values, values[values > 0].min() / 2) for values in (x, y)]
    along, up = (
        axes.log_axis(
            axes.label_with_unit(f"{name}, {label}", theme.describe_unit(representation)), values
        )
        for label, representation, values in zip(labels, pair, drawn, strict=True)
    )
    layout = {"xaxis": along, "yaxis": up, "uirevision": f"pair-{pair}-{statistic}"}
    marker = {"color": theme.representation_color(pair[1], mode)}
    return _draw_plane(drawn[0], drawn[1], [x, y], template, marker, layout, channel, mode)


def _draw_plane(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    facts: Sequence[NDArray[np.floating]],
    template: str,
    marker: Mapping[str, object],
    layout: Mapping[str, object],
    channel: int | None,
    mode: Mode,
) -> go.Figure:
    """Draw channels as points that can be clicked, one of them marked.

    Args:
        x: ``[channels]``, above 0.
        y: ``[channels]``, above 0.
        facts: What the hover tells of each channel, ``[channels]`` each.
        template: How it tells them; the first is ``customdata[1]``.
        marker: Colour of the points.
        layout: Axes.
        channel: The channel to mark.
        mode: Light or dark.
    """
    x, y = theme.as_float32(x), theme.as_float32(y)
    told = np.column_stack([np.arange(len(x)), *facts]).astype(np.float32)
    kind = theme.point_type(len(x))
    points = {
        "type": kind,
        "x": x,
        "y": y,
        "customdata": told,
        "mode": "markers",
        "name": "channels",
        "showlegend": False,
        "marker": {"size": 6 if len(x) <= SPARSE else 4, **marker},
        "hovertemplate": f"channel %{{customdata[0]:d}}<br>{template}<extra></extra>",
    }
    traces: list[dict[str, object]] = [points]
    if channel is not None:
        traces.append(
            {
                "type": kind,  # plotly draws a surface of WebGL over all of SVG
                "x": x[[channel]],
                "y": y[[channel]],
                "customdata": told[[channel]],
                "mode": "markers",
                "name": f"channel {channel}",
                "showlegend": False,
                "marker": {
                    "symbol": "circle-open",
                    "size": 16,
                    "color": theme.accent_color(mode),
                    "line": {"width": 3},
                },
                "hoverinfo": "skip",
            }
        )
    notes = [] if channel is None else [_name_mark(x[channel], y[channel], channel, mode)]
    layout = {**layout, "hovermode": "closest", "annotations": notes}
    return theme.make_figure(traces, layout, mode)


def _name_mark(x: np.floating, y: np.floating, channel: int, mode: Mode) -> dict[str, object]:
    return {
        "x": float(np.log10(x)),
        "y": float(np.log10(y)),
        "text": f"channel {channel}",
        "showarrow": False,
        "yshift": 20,
        "font": {"color": theme.accent_color(mode)},
        "bgcolor": theme.page_color(mode),
    }
