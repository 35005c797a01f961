"""More of a report: which norm to use, one layer's channels, places, and versions in a row."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from analysis.payload.extras import ExtraTable
from analysis.payload.table import StatsTable
from analysis.read.compare.comparison import Comparison
from analysis.read.compare.drift import have_same_channels
from analysis.read.compare.timeline import (
    find_most_changed,
    follow_channels,
    measure_drift_from_first,
)
from analysis.read.depth.advice import advise_layers
from analysis.read.frames import channel_frame
from analysis.read.outliers import count_outliers
from analysis.read.scores import Score
from analysis.show.figures import axes, histograms
from analysis.show.figures import channels as channel_figures
from analysis.show.figures import timeline as timeline_figures
from analysis.show.figures.footprints import COLUMNS, build_footprint_multiples
from analysis.show.figures.noise import (
    EFFECT_ROWS,
    RATIO_LABEL,
    SHIFT_LABEL,
    ChannelEffect,
    build_channel_effects,
)
from analysis.show.figures.outliers import build_outlier_counts
from analysis.show.figures.theme import REPRESENTATION_LABELS, ROLE_LABELS, describe_unit
from analysis.show.report import page as html_page
from analysis.vocabulary import (
    Cell,
    Representation,
    Statistic,
    TokenRole,
)

_SHOWN = Representation.PRE, TokenRole.PATCH
_CELL = f"{REPRESENTATION_LABELS[_SHOWN[0]]}, {ROLE_LABELS[_SHOWN[1]]} tokens"
_FOLLOWED = 5
_ROWS_EACH = 8


def draw_advice(table: StatsTable) -> str:
    """Return which norm to use for the tapped layers, or for all where none is tapped."""
    frame = advise_layers(table, table.tapped_layers or table.layers.tolist())
    return html_page.table("Which norm to use", frame)


def draw_counts(table: StatsTable, score: Score, threshold: float | None) -> str:
    """Return the number of outliers of every layer, as a figure."""
    drawn = build_outlier_counts(
        table.layers,
        count_outliers(table, score, threshold),
        channels=table.channels,
        tapped=table.tapped_layers,
    )
    return html_page.figure("Outliers in every layer", drawn)


def draw_layer(table: StatsTable, layer: int) -> list[str]:
    """Return how all channels of a layer are spread."""
    frame = channel_frame(table, layer, *_SHOWN)
    cell = frame[["mean", "std", "max_abs"]].to_numpy(dtype=np.float64).T
    unit = describe_unit(_SHOWN[0])
    spread = histograms.build_value_histogram(
        cell[Statistic.MAX_ABS.position],
        channel=None,
        value_label=axes.label_with_unit("max |x|", unit),
    )
    plane = channel_figures.build_mean_std_scatter(cell, unit=unit)
    where = f"layer {layer}, {_CELL}"
    return [
        html_page.figure(f"How max |x| is spread over channels, {where}", spread),
        html_page.figure(f"Mean, std and max |x| of every channel, {where}", plane),
    ]


def draw_footprints(extras: ExtraTable) -> list[str]:
    """Return where in the pictures the largest channels of the last layer are large."""
    found = extras.footprint()
    if found is None:
        return []
    channels, maps = (part[-1] for part in found)
    drawn = build_footprint_multiples(channels, maps)
    rows = _ROWS_EACH * -(-len(channels) // COLUMNS)
    caption = f"Where the largest channels of layer {int(extras.layers[-1])} are large, mean |x|"
    return [html_page.figure(caption, drawn, rows=rows)]


def draw_effects(comparison: Comparison, layer: int) -> list[str]:
    """Return how far every channel of a layer moved; nothing without groups in both."""
    noise = comparison.examine(Cell(layer, *_SHOWN))
    if noise.note is not None:
        return []
    shift, ratio = (
        ChannelEffect(effect.value, effect.error, effect.flagged, label)
        for effect, label in ((noise.shift, SHIFT_LABEL), (noise.log_ratio, RATIO_LABEL))
    )
    drawn = build_channel_effects(shift, ratio, representation=_SHOWN[0])
    return [html_page.figure(f"Channels of layer {layer}, {_CELL}", drawn, rows=EFFECT_ROWS)]


def draw_timeline(tables: Sequence[StatsTable], names: Sequence[str]) -> list[str]:
    """Return three or more versions in their order: drift from the first, and changed channels.

    Those of another backbone than the first are left out and named.
    """
    first = tables[0]
    kept = [at for at, table in enumerate(tables) if have_same_channels(first, table)]
    left_out = [names[at] for at in range(len(tables)) if at not in kept]
    said = [f"{name} is of another backbone and has no place in this row." for name in left_out]
    rows, shown = [tables[at] for at in kept], [escape(names[at]) for at in kept]
    common = [set(table.layers.tolist()) for table in rows]
    if len(rows) < 2 or not set.intersection(*common):
        return [html_page.sentences(said)]
    layers, drift = measure_drift_from_first(rows)
    place = _SHOWN[0].position, _SHOWN[1].position
    drawn = timeline_figures.build_drift_timeline(layers, drift[:, :, *place], shown)
    layer = int(layers[-1])
    values = follow_channels(rows, Cell(layer, *_SHOWN))
    followed = find_most_changed(values, _FOLLOWED)
    label = f"max |x|, layer {layer}"
    course = timeline_figures.build_channel_timeline(
        values[:, followed], followed, shown, value_label=label
    )
    return [
        html_page.figure(f"Drift from the first, {_CELL}", drawn),
        html_page.figure(f"Channels that changed most, {label}, {_CELL}", course),
        html_page.sentences(said),
    ]
