"""Two versions side by side: drift per layer, channels of one against the other, changed top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import N_, Texts, _
from analysis.show.figures import axes, theme
from analysis.show.figures.cloud import draw_channels, draw_diagonal
from analysis.show.figures.depth import draw_cells
from analysis.show.figures.theme import Mode
from analysis.vocabulary import REPRESENTATIONS, ROLES, Representation, TokenRole

_STATUS_LABELS = Texts({"kept": N_("in both"), "new": N_("new"), "gone": N_("gone")})
_STATUS_SYMBOLS = {"kept": "circle", "new": "triangle-up", "gone": "triangle-down"}


def build_drift_curves(
    layers: NDArray[np.integer],
    drift: NDArray[np.floating],
    *,
    representations: Sequence[Representation] = REPRESENTATIONS,
    roles: Sequence[TokenRole] = ROLES,
    noise: NDArray[np.floating] | None = None,
    beyond: NDArray[np.bool_] | None = None,
    coloured: NDArray[np.bool_] | None = None,
    log: bool = False,
    mode: Mode = "light",
) -> go.Figure:
    """Draw the distance between two versions against depth.

    Args:
        layers: ``[layers]``.
        drift: ``[layers, 3, 2]``, as `analysis.read.compare.drift.compute_drift` returns it.
        representations: Which to draw.
        roles: Which to draw.
        noise: ``[layers, 3, 2]``: the same formula between parts of one version; drawn thin.
        beyond: ``[layers, 3, 2]``: what exceeds the noise; its marks are filled, others hollow.
        coloured: ``[layers, 3, 2]``: what is more than negligible; other marks are grey.
        log: Logarithmic y axis.
        mode: Light or dark.
    """
    title = axes.label_with_unit(_("drift"), _("standard deviations, rms over channels"))
    return draw_cells(
        layers,
        drift,
        representations=representations,
        roles=roles,
        noise=noise,
        filled=beyond,
        coloured=coloured,
        height=axes.log_axis(title) if log else {"title": {"text": title}, "rangemode": "tozero"},
        revision=f"drift-{log}",
        mode=mode,
    )


def build_jaccard_curves(
    layers: NDArray[np.integer],
    jaccard: NDArray[np.floating],
    *,
    k: int,
    by_chance: NDArray[np.floating] | None = None,
    measure: str = "Jaccard",
    representations: Sequence[Representation] = REPRESENTATIONS,
    roles: Sequence[TokenRole] = ROLES,
    mode: Mode = "light",
) -> go.Figure:
    """Draw the overlap of the top k channels of two versions against depth, 0 to 1.

    Args:
        layers: ``[layers]``.
        jaccard: ``[layers, 3, 2]``.
        k: How many channels are the top.
        by_chance: ``[layers, 3, 2]``: what two measurements without a change share; drawn thin.
        measure: How the overlap is measured.
        representations: Which to draw.
        roles: Which to draw.
        mode: Light or dark.
    """
    title = axes.label_with_unit(
        _("overlap of the top {k} channels").format(k=k),
        _("{measure}, 0 to 1").format(measure=_(measure)),
    )
    return draw_cells(
        layers,
        jaccard,
        representations=representations,
        roles=roles,
        noise=by_chance,
        noise_name=_("without a change"),
        height={"title": {"text": title}, "range": [-0.03, 1.03]},
        revision=f"jaccard-{k}-{measure}",
        mode=mode,
    )


def build_channel_comparison(
    values_a: NDArray[np.floating],
    values_b: NDArray[np.floating],
    *,
    names: tuple[str, str],
    value_label: str,
    status: Mapping[str, NDArray[np.integer]] | None = None,
    slots: Sequence[int] = (0, 1),
    mode: Mode = "light",
) -> go.Figure:
    """Draw every channel, the baseline across, the version up, and where nothing changed.

    Both axes are logarithmic and equally long. Channels of 0 in either version are drawn at the
    lower edge; the hover tells the truth.

    Args:
        values_a: ``[channels]``, 0 or more.
        values_b: ``[channels]``, 0 or more.
        names: Baseline and version, for the axes.
        value_label: What the values are, with unit.
        status: Channels to mark, by `new`, `gone`, `kept`.
        slots: Colours of the versions, as `theme.version_color` counts them.
        mode: Light or dark.
    """
    positive = np.concatenate([values_a[values_a > 0], values_b[values_b > 0]])
    if not len(positive):
        return theme.empty_figure(_("There is no channel above 0 to compare."), mode)
    floor, ceiling = float(positive.min()) / 2, float(positive.max()) * 1.5
    channels = np.arange(len(values_a), dtype=np.int32)
    x, y = (theme.as_float32(np.maximum(values, floor)) for values in (values_a, values_b))
    marked = (
        {key: np.asarray(status[key], np.int64) for key in _STATUS_LABELS if key in status}
        if status
        else {}
    )
    others = np.setdiff1d(channels, np.concatenate([*marked.values(), np.array([], np.int64)]))
    colors = _status_colors(slots, mode)
    groups = [(_("other channels"), others, theme.muted_color(mode), "circle", 4)]
    groups += [
        (_STATUS_LABELS[key], chosen, colors[key], _STATUS_SYMBOLS[key], 9)
        for key, chosen in marked.items()
    ]
    traces = [draw_diagonal(floor, ceiling, _("no change"), mode)]
    traces += [
        draw_channels(
            *(x, y, [values_a, values_b], _("%{customdata[1]:.4g} to %{customdata[2]:.4g}")),
            name=f"{name} ({len(chosen):,})",
            marker={"color": color, "symbol": symbol, "size": size},
            chosen=chosen,
        )
        for name, chosen, color, symbol, size in groups
    ]
    bounds = {"range": [float(np.log10(floor)), float(np.log10(ceiling))]}
    layout = {
        "xaxis": axes.log_axis(f"{theme.escape(names[0])}: {value_label}", x, y) | bounds,
        "yaxis": axes.log_axis(f"{theme.escape(names[1])}: {value_label}", x, y) | bounds,
        "uirevision": f"a-against-b-{value_label}",
    }
    return theme.make_figure(traces, layout, mode)


def build_top_changes(
    frame: pd.DataFrame,
    *,
    names: tuple[str, str],
    value_label: str,
    slots: Sequence[int] = (0, 1),
    mode: Mode = "light",
) -> go.Figure:
    """Draw the top channels of two versions, each from its value in the baseline.

    Args:
        frame: As `read.compare.drift.compare_top_channels` makes it; drawn from the top down.
        names: Baseline and version, for the legend.
        value_label: Axis title, with unit.
        slots: Colours of the versions, as `theme.version_color` counts them.
        mode: Light or dark.
    """
    if not len(frame):
        return theme.empty_figure(_("No channel to draw: ask for at least one."), mode)
    rows = np.arange(len(frame), dtype=np.int32)
    ends = [theme.as_float32(frame[column].to_numpy()) for column in ("max_abs_a", "max_abs_b")]
    facts = frame[["channel", "rank_a", "rank_b"]].to_numpy(dtype=np.int32)
    gaps = np.full(len(frame), np.nan, dtype=np.float32)
    traces: list[dict[str, object]] = [
        {
            "type": "scatter",
            "x": np.column_stack([*ends, gaps]).ravel(),
            "y": np.repeat(rows, 3).astype(np.float32),
            "mode": "lines",
            "line": {"color": theme.muted_color(mode), "width": 2},
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]
    traces += [
        {
            "type": "scatter",
            "x": values,
            "y": rows,
            "customdata": facts,
            "mode": "markers",
            "name": name,
            "marker": {"color": theme.version_color(slots[index], mode), "size": 10},
            "hovertemplate": _(
                "channel %{{customdata[0]:d}}: %{{x:.4g}}, rank "
                "%{{customdata[{index}]:d}}<extra></extra>"
            ).format(index=index + 1),
        }
        for index, (name, values) in enumerate(zip(names, ends, strict=True))
    ]
    labels = frame["channel"].astype(str).to_numpy(dtype=str)
    notes = frame["status"].map({"new": _(" (new)"), "gone": _(" (gone)"), "kept": ""})
    layout = {
        "xaxis": axes.log_axis(value_label, *ends),
        "yaxis": {
            "title": {"text": _("channel")},
            "tickmode": "array",
            "tickvals": rows,
            "ticktext": np.char.add(labels, notes.to_numpy(dtype=str)),
            "range": [len(frame) - 0.5, -0.5],
        },
        "uirevision": f"top-changes-{value_label}",
    }
    return theme.make_figure(traces, layout, mode)


def _status_colors(slots: Sequence[int], mode: Mode) -> dict[str, str]:
    """Gone is a matter of the baseline, new of the version."""
    return {
        "kept": theme.text_color(mode),
        "gone": theme.version_color(slots[0], mode),
        "new": theme.version_color(slots[1], mode),
    }
