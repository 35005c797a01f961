"""One channel among the others: through depth and in the plane of two statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import N_, _
from analysis.show.figures import axes, theme
from analysis.show.figures.cloud import draw_channels, ring_channel
from analysis.show.figures.depth import DepthLine, draw_over_depth
from analysis.show.figures.theme import Mode
from analysis.vocabulary import Representation, Statistic, TokenRole

_NO_CELL = N_("Choose a representation and a token role to draw.")


def build_channel_depth(
    layers: NDArray[np.integer],
    values: NDArray[np.floating],
    cells: Sequence[tuple[Representation, TokenRole]],
    *,
    statistic: Statistic,
    reference: NDArray[np.floating] | None = None,
    reference_name: str = "",
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
        reference: ``[lines, layers]``: what each line is held against; drawn thin.
        reference_name: What that is.
        tapped: Layers to mark.
        symlog: Logarithmic on both sides of zero, for the mean.
        mode: Light or dark.
    """
    lines = [
        DepthLine.of_cell(
            *(layers, values[index], *cell, mode),
            reference=None if reference is None else reference[index],
            reference_name=reference_name,
        )
        for index, cell in enumerate(cells)
    ]
    units = [theme.describe_unit(representation) for representation, _unused in cells]
    title = axes.label_with_unit(theme.STATISTIC_LABELS[statistic], *units)
    signed = statistic is Statistic.MEAN
    return draw_over_depth(
        lines,
        height={"title": {"text": title}} if signed else axes.log_axis(title, values),
        empty=_(_NO_CELL),
        tapped=tapped,
        symlog=signed and symlog,
        revision=f"channel-depth-{statistic}-{symlog}",
        mode=mode,
    )


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
    lines = [
        DepthLine.of_cell(layers, line, *cell, mode, hover="%{y:d}")
        for line, cell in zip(ranks, cells, strict=True)
    ]
    places = axes.log_axis(
        _("rank among {channels:,} channels").format(channels=channels), np.array([1.0, channels])
    )
    height = places | {"range": [float(np.log10(channels)) + 0.05, -0.15]}
    return draw_over_depth(
        lines, height=height, empty=_(_NO_CELL), tapped=tapped, revision="channel-rank", mode=mode
    )


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
        return theme.empty_figure(_("Every channel is 0 here."), mode)
    x, y, size = (np.maximum(v, positive.min() / 2) for v in (np.abs(mean), std, max_abs))
    color = np.log10(size).astype(np.float32)
    marker = {
        "color": color,
        "colorscale": theme.magnitude_scale(mode, points=True),
        "colorbar": axes.magnitude_bar(color, _("max |x| ({unit})").format(unit=unit)),
    }
    hover = _(
        "mean %{customdata[1]:.4g}<br>std %{customdata[2]:.4g}<br>max |x| %{customdata[3]:.4g}"
    )
    layout = {
        "xaxis": axes.log_axis(axes.label_with_unit(_("|mean| over tokens"), unit), x),
        "yaxis": axes.log_axis(axes.label_with_unit(_("std over tokens"), unit), y),
        "uirevision": f"mean-std-{unit}",
    }
    points = draw_channels(x, y, [mean, std, max_abs], hover, name=_("channels"), marker=marker)
    return _draw_plane(points, layout, channel, mode)


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
    if not all((values > 0).any() for values in sizes):
        return theme.empty_figure(_("Every channel is 0 here."), mode)
    name = "|mean|" if statistic is Statistic.MEAN else theme.STATISTIC_LABELS[statistic]
    labels = [theme.REPRESENTATION_LABELS[representation] for representation in pair]
    hover = "<br>".join(
        f"{label}: {name} %{{customdata[{index}]:.4g}}" for index, label in enumerate(labels, 1)
    )
    x, y = (np.maximum(values, values[values > 0].min() / 2) for values in sizes)
    along, up = (
        axes.log_axis(
            axes.label_with_unit(f"{name}, {label}", theme.describe_unit(representation)), values
        )
        for label, representation, values in zip(labels, pair, (x, y), strict=True)
    )
    layout = {"xaxis": along, "yaxis": up, "uirevision": f"pair-{pair}-{statistic}"}
    marker = {"color": theme.representation_color(pair[1], mode)}
    points = draw_channels(x, y, list(sizes), hover, name=_("channels"), marker=marker)
    return _draw_plane(points, layout, channel, mode)


def _draw_plane(
    points: dict[str, Any], layout: Mapping[str, Any], channel: int | None, mode: Mode
) -> go.Figure:
    traces, notes = [points | {"showlegend": False}], []
    if channel is not None:
        ring, note = ring_channel(traces[0], channel, mode)
        traces.append(ring)
        notes.append(note)
    return theme.make_figure(traces, {**layout, "hovermode": "closest", "annotations": notes}, mode)
