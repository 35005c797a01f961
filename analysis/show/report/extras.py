"""What only the `extras` of a payload tell in a report: the views of the Layers page."""

from __future__ import annotations

from analysis.payload.extras import ExtraTable, Part
from analysis.payload.table import StatsTable
from analysis.read.depth.suppression import measure_suppression
from analysis.show.report import page as html_page
from analysis.show.views import layers as views
from analysis.vocabulary import Representation, TokenRole

_SHOWN = Representation.PRE, TokenRole.PATCH


def draw_depth_views(table: StatsTable, name: str, extras: ExtraTable) -> list[str]:
    """Return the largest activations, token norms, extremes and suppression of every layer.

    What the payload does not hold is said.
    """
    top, norms, ends = extras.top(), extras.norm_hist(*_SHOWN), extras.value_range(*_SHOWN)
    shown = [
        None if top is None else views.top(table, name, top),
        None if norms is None else views.norms(table, name, _SHOWN, norms),
        None if ends is None else views.value_range(table, name, _SHOWN, ends),
    ]
    parts = zip((Part.TOP, Part.NORM_HIST, Part.RANGE), shown, strict=True)
    missing = [extras.why_absent(part) for part, view in parts if view is None]
    shown.append(views.suppression(table, name, measure_suppression(table)))
    blocks = [html_page.view(view) for view in shown if view is not None]
    return [*blocks, html_page.sentences(missing)]
