"""What only the `extras` of a payload tell: views of the depth."""

from __future__ import annotations

from analysis.payload.extras import NORM_EDGES, ExtraTable, Part
from analysis.payload.table import StatsTable
from analysis.read.depth.extremes import find_extremes
from analysis.read.depth.suppression import measure_suppression
from analysis.read.depth.token_norms import find_norm_quantiles
from analysis.show.figures import layer_views
from analysis.show.figures.theme import REPRESENTATION_LABELS, describe_unit, role_label
from analysis.show.report import page as html_page
from analysis.vocabulary import Representation, TokenRole

_SHOWN = Representation.PRE, TokenRole.PATCH
_BOUND = 100.0
"""Beyond it a value of the block output is marked."""


def draw_depth_views(table: StatsTable, extras: ExtraTable) -> list[str]:
    """Return the largest activations, token norms, extremes and suppression of every layer.

    What the payload does not hold is said.
    """
    (representation, role), tapped = _SHOWN, table.tapped_layers
    cell = f"{REPRESENTATION_LABELS[representation]}, {role_label(role)} tokens"
    blocks: list[str] = []
    missing: list[Part] = []
    top = extras.top()
    if top is None:
        missing.append(Part.TOP)
    else:
        drawn = layer_views.build_top_curves(extras.layers, top, tapped=tapped)
        blocks.append(html_page.figure("Largest activations and the median one", drawn))
    counts = extras.norm_hist(representation, role)
    if counts is None:
        missing.append(Part.NORM_HIST)
    else:
        unit = f"{role_label(role)} tokens, {describe_unit(representation)}"
        quantiles = find_norm_quantiles(counts)
        drawn = layer_views.build_norm_map(
            extras.layers, counts, NORM_EDGES, quantiles, unit=unit, tapped=tapped
        )
        blocks.append(html_page.figure(f"Token norms, {cell}", drawn))
    ends = extras.value_range(representation, role)
    if ends is None:
        missing.append(Part.RANGE)
    else:
        extremes = find_extremes(extras.layers, ends)
        drawn = layer_views.build_range_curves(
            extras.layers,
            extremes["min"].to_numpy(),
            extremes["max"].to_numpy(),
            bounds=(-_BOUND, _BOUND),
            representation=representation,
            role=role,
            tapped=tapped,
        )
        blocks.append(html_page.figure(f"Smallest and largest value, {cell}", drawn))
    suppression = measure_suppression(table).factor
    drawn = layer_views.build_suppression_curve(table.layers, suppression, tapped=tapped)
    blocks.append(html_page.figure("How far the shared norm lowers the outliers", drawn))
    return [*blocks, html_page.sentences([extras.why_absent(part) for part in missing])]
