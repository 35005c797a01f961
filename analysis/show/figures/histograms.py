"""How many channels, or tokens, have a value: counts in logarithmic bins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import _
from analysis.show.figures import axes, theme
from analysis.show.figures.theme import Mode
from analysis.vocabulary import Representation, TokenRole

BINS = 60
BELOW_ONE = 0.3
"""Where an empty bin is drawn: below the axis, which begins at a half."""


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
        return theme.empty_figure(_("Every channel is 0 here."), mode)
    cells = {cell: np.abs(np.asarray(other, np.float64)) for cell, other in (others or {}).items()}
    logs = [np.log10(size[size > 0]) for size in (sizes, *cells.values())]
    drawn = np.concatenate(logs)
    span = drawn.min() - 0.01, drawn.max() + 0.01
    edges = 10 ** np.linspace(*span, BINS + 1)
    counts = [np.histogram(part, bins=BINS, range=span)[0] for part in logs]
    bars = _draw_bins(edges, counts[0], _("channels")) | {
        "type": "bar",
        "y": counts[0].astype(np.int32),
        "width": theme.as_float32(np.diff(edges)),
        "marker": {"color": theme.muted_color(mode), "line": {"width": 0}},
        "name": _("channels"),
        "showlegend": False,
    }
    outlines = [
        _draw_outline(edges, count, "channels", theme.cell_line(*cell, mode) | {"width": 1.5})
        | {"name": theme.describe_cell(*cell)}
        for cell, count in zip(cells, counts[1:], strict=True)
    ]
    thin = {"color": theme.text_color(mode), "width": 1, "dash": "dash"}
    marks = [_mark_value(float(np.median(positive)), _("median"), thin, shift=0)]
    if channel is not None and sizes[channel] > 0:
        line = {"color": theme.accent_color(mode), "width": 2}
        # its name above the median's, which may stand at the same place
        marks.append(
            _mark_value(
                float(sizes[channel]),
                _("channel {channel}").format(channel=channel),
                line,
                shift=16,
            )
        )
    zeros = len(sizes) - len(positive)
    note = _("; {zeros} at 0 not drawn").format(zeros=zeros) if zeros else ""
    layout: dict[str, Any] = {
        "shapes": [shape for shape, _unused in marks],
        "annotations": [name for _unused, name in marks],
        "xaxis": axes.log_axis(value_label, 10**drawn),
        "yaxis": _count_axis(
            _("number of channels{note}").format(note=note), max(int(c.max()) for c in counts)
        ),
        "bargap": 0,
        "uirevision": f"histogram-{value_label}",
    }
    if outlines:  # the legend above the names of the lines
        layout |= {"margin": {"t": 80}}
    return theme.make_figure([bars, *outlines], layout, mode)


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
    filled = np.flatnonzero(np.any([values > 0 for values in inner.values()], axis=0))
    if not len(filled):
        return theme.empty_figure(_("No token has a norm within the bins."), mode)
    first, last = max(int(filled[0]) - 1, 0), min(int(filled[-1]) + 2, len(edges) - 1)
    shown = edges[first : last + 1]
    traces = []
    for index, (role, values) in enumerate(inner.items()):
        line = {"color": theme.version_color(index, mode), "dash": theme.role_dash(role)}
        name = _("{role_label} ({values_sum:,} tokens)").format(
            role_label=theme.role_label(role), values_sum=int(values.sum())
        )
        outline = _draw_outline(shown, values[first:last], _("tokens"), line | {"width": 2})
        traces.append(outline | {"name": name})
    layout = {
        "xaxis": axes.log_axis(axes.label_with_unit(_("L2 norm of a token"), unit), shown),
        "yaxis": _count_axis(_("number of tokens"), max(int(v.max()) for v in inner.values())),
        "hovermode": "closest",
        "uirevision": "norm-histogram",
    }
    return theme.make_figure(traces, layout, mode)


def _draw_bins(
    edges: NDArray[np.floating], counts: NDArray[np.integer], noun: str
) -> dict[str, Any]:
    return {
        "x": theme.as_float32(np.sqrt(edges[:-1] * edges[1:])),
        "customdata": np.column_stack([edges[:-1], edges[1:], counts]).astype(np.float32),
        "hovertemplate": _(
            "%{{customdata[0]:.3g}} to %{{customdata[1]:.3g}}: "
            "%{{customdata[2]:,d}} {noun}<extra></extra>"
        ).format(noun=noun),
    }


def _draw_outline(
    edges: NDArray[np.floating],
    counts: NDArray[np.integer],
    noun: str,
    line: Mapping[str, Any],
) -> dict[str, Any]:
    bins = _draw_bins(edges, counts, noun)
    return bins | {
        "type": "scatter",
        "y": np.where(counts > 0, counts, BELOW_ONE).astype(np.float32),
        "mode": "lines",
        "line": {**line, "shape": "hvh"},
        "hovertemplate": bins["hovertemplate"].removesuffix("<extra></extra>"),  # with its name
    }


def _count_axis(title: str, most: int) -> dict[str, Any]:
    """Return a logarithmic axis from 1 on: an outlier is one channel among thousands."""
    ends = {"range": [-0.3, float(np.log10(most)) + 0.1]}
    return axes.log_axis(title, np.array([1.0, most])) | ends


def _mark_value(
    value: float, name: str, line: Mapping[str, object], *, shift: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a line across a logarithmic axis, and its name above the plot."""
    place = {"x0": value, "x1": value, "y0": 0, "y1": 1, "yref": "y domain"}
    label = {"x": float(np.log10(value)), "y": 1, "yref": "paper", "yanchor": "bottom"}
    look = {"font": {"color": line["color"]}, "showarrow": False}
    return {"type": "line", "line": line, **place}, {"text": name, "yshift": shift, **label, **look}
