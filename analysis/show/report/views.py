"""More of a report: which norm to use, one layer's channels, places, and versions in a row."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.errors import InputError
from analysis.language import _
from analysis.payload.extras import ExtraTable
from analysis.payload.features import Features
from analysis.payload.table import StatsTable
from analysis.read.compare.drift import have_same_channels
from analysis.read.compare.timeline import (
    find_most_changed,
    follow_channels,
    measure_drift_from_first,
)
from analysis.read.depth.advice import advise_layers
from analysis.read.worth.advice_probe import hold_to_probe, summarise
from analysis.show.report import page as html_page
from analysis.show.views import channels as channel_views
from analysis.show.views import timeline as timeline_views
from analysis.show.views.images import footprints
from analysis.vocabulary import (
    Cell,
    Representation,
    TokenRole,
)

_SHOWN = Representation.PRE, TokenRole.PATCH
_FOLLOWED = 5


def draw_advice(table: StatsTable, features: Features | None = None) -> str:
    """Return which norm to use for the tapped layers, or for all where none is tapped.

    Args:
        table: The payload.
        features: Its vectors of single images, whose first target the advice is held to.
    """
    frame = advise_layers(table, table.tapped_layers or table.layers.tolist())
    target = None
    if features is not None:
        target = next(iter([*features.targets, *features.categories]), None)
    sentence = _("Not held to any measurement.")
    if features is not None and target is not None:
        try:
            measured = hold_to_probe(features, frame, target)
            frame = frame.join(measured[["score", "best", "best_score", "verdict"]])
            sentence = summarise(measured, target)
        except InputError as error:
            sentence = f"{sentence} {error}"
    return html_page.table(_("Which norm to use"), frame) + html_page.sentences([sentence])


def draw_layer(table: StatsTable, name: str, layer: int) -> list[str]:
    """Return how all channels of a layer are spread."""
    cell = Cell(layer, *_SHOWN)
    shown = (
        channel_views.histogram(table, name, cell),
        channel_views.mean_std_plane(table, name, cell),
    )
    return [html_page.view(view) for view in shown]


def draw_footprints(extras: ExtraTable, name: str) -> list[str]:
    """Return where in the pictures the largest channels of the last layer are large."""
    footprint = extras.footprint()
    if footprint is None:
        return []
    channels, maps = (part[-1] for part in footprint)
    return [html_page.view(footprints(int(extras.layers[-1]), channels, maps, name))]


def draw_timeline(tables: Sequence[StatsTable], names: Sequence[str]) -> list[str]:
    """Return three or more versions in their order: drift from the first, and changed channels.

    Those of another backbone than the first are left out and named.
    """
    first = tables[0]
    kept = [at for at, table in enumerate(tables) if have_same_channels(first, table)]
    left_out = [names[at] for at in range(len(tables)) if at not in kept]
    notes = [
        _("{name} is of another backbone and has no place in this row.").format(name=name)
        for name in left_out
    ]
    rows, shown = [tables[at] for at in kept], [names[at] for at in kept]
    common = [set(table.layers.tolist()) for table in rows]
    if len(rows) < 2 or not set.intersection(*common):
        return [html_page.sentences(notes)]
    layers, drift = measure_drift_from_first(rows)
    cell = Cell(int(layers[-1]), *_SHOWN)
    values = follow_channels(rows, cell)
    followed = find_most_changed(values, _FOLLOWED)
    return [
        html_page.view(timeline_views.drift_in_a_row(layers, drift, _SHOWN, shown, kept)),
        html_page.view(timeline_views.channels_in_a_row(values, followed, cell, shown)),
        html_page.sentences(notes),
    ]
