"""Statistics against depth: any of them, and the views that papers use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.language import N_, _
from analysis.payload.extras import NORM_EDGES
from analysis.payload.table import StatsTable
from analysis.read.depth.extremes import find_extremes, find_largest_channels
from analysis.read.depth.suppression import Suppression, find_standings
from analysis.read.depth.token_norms import count_beyond, find_norm_quantiles, tabulate_norms
from analysis.read.frames import AGGREGATE_LABELS, Aggregate, tabulate_suppression
from analysis.show.figures import layer_views as figures
from analysis.show.figures import theme
from analysis.show.figures.axes import Scale
from analysis.show.figures.histograms import build_norm_histogram
from analysis.show.figures.layers import DepthCurve, build_depth_curves
from analysis.show.figures.theme import Mode
from analysis.show.view import Frame, View, describe_one, describe_pair
from analysis.show.views import sentences
from analysis.vocabulary import Representation, Statistic, TokenRole

Floats = NDArray[np.floating]

BOUND = {Representation.PRE: 100.0}
"""Beyond it a value is marked at first; 20 after a LayerNorm."""
OTHER_BOUND = 20.0

RELATIVE_CAPTION = N_(
    "Each value over that of {baseline} in the same layer: 1 is no change. The table holds the "
    "values as they were measured."
)


def statistic(
    curves: Sequence[DepthCurve],
    drawn: Statistic,
    aggregate: Aggregate,
    *,
    frame: Frame | None = None,
    tapped: Sequence[int] = (),
    scale: Scale = Scale.LOG,
    signed: bool = False,
    facets: bool = False,
    baseline: str | None = None,
    mode: Mode = "light",
) -> View:
    """Return a statistic of all channels against depth.

    Args:
        curves: The lines, in legend order; a layer of -1 is what enters block 0.
        drawn: The statistic.
        aggregate: How one number is made of all channels.
        frame: The numbers.
        tapped: Layers to mark.
        scale: Of the y axis.
        signed: Whether the mean keeps its sign.
        facets: One panel per representation also for one version.
        baseline: The version that all values are relative to; None where they are as measured.
        mode: Light or dark.
    """
    sized = drawn is Statistic.MEAN and not signed
    names = list(dict.fromkeys(curve.version for curve in curves))
    title = _("{statistic_labels}, {aggregate} over channels").format(
        statistic_labels="|mean|" if sized else theme.STATISTIC_LABELS[drawn],
        aggregate=AGGREGATE_LABELS[aggregate],
    )
    if baseline is not None:
        title = f"{title}, {_('× that of {baseline}').format(baseline=baseline)}"
    return View(
        title,
        "layers" if frame is not None else f"layers {drawn} {aggregate}",
        build_depth_curves(
            curves,
            statistic=drawn,
            aggregate=aggregate.value,
            tapped=tapped,
            scale=scale,
            signed=signed,
            facets=facets,
            baseline=baseline,
            mode=mode,
        ),
        frame,
        sentence=_name_largest_curve(curves, title),
        caption="" if baseline is None else _(RELATIVE_CAPTION).format(baseline=baseline),
        about=_(", ").join(names)
        if baseline is None
        else describe_pair(baseline, _(", ").join(names))["about"],
    )


def _name_largest_curve(curves: Sequence[DepthCurve], label: str) -> str:
    highest = max(curves, key=lambda curve: np.nanmax(curve.values, initial=-np.inf), default=None)
    if highest is None:
        return ""
    name = _("{version}, {cell} tokens").format(
        version=highest.version, cell=theme.describe_cell(highest.representation, highest.role)
    )
    return sentences.name_largest(
        label, highest.layers, [(name, highest.values)], digits=sentences.STATISTIC_DIGITS
    )


def top(
    table: StatsTable, name: str, found: Floats, scale: Scale = Scale.LOG, mode: Mode = "light"
) -> View:
    """Return the three largest |x| and the median of every layer, ``[layers, 4]``."""
    columns = ["top_1", "top_2", "top_3", "median"]
    return View(
        _("Largest activations and the median one"),
        "largest activations",
        figures.build_top_curves(
            table.layers, found, tapped=table.tapped_layers, scale=scale, mode=mode
        ),
        pd.DataFrame(found, columns=columns).assign(layer=table.layers),
        caption=_(
            "Of each image the largest three |x| and the median |x| over all "
            "its tokens (CLS, registers, patches) and channels of the block "
            "output; then the mean over images. A median far below the largest "
            "is the mark of massive activations."
        ),
        **describe_one(name),
    )


def top_channels(
    table: StatsTable, name: str, absent: str, scale: Scale = Scale.LOG, mode: Mode = "light"
) -> View:
    """Return what the statistics tell of a payload without the largest activations by image.

    Args:
        table: The payload.
        name: The version.
        absent: Why the activations by image are not there.
        scale: Of the y axis.
        mode: Light or dark.
    """
    found = find_largest_channels(table)
    columns = ["largest", "second", "third", "median"]
    return View(
        _("Largest channels and the median one"),
        "largest channels",
        figures.build_top_curves(
            table.layers, found, tapped=table.tapped_layers, scale=scale, of=_("max |x|"), mode=mode
        ),
        pd.DataFrame(found, columns=columns).assign(layer=table.layers),
        caption=_(
            "Max |x| of the three largest channels and of the median channel "
            "over all images, CLS and patch tokens of the block output. A "
            "median far below the largest is the mark of massive activations."
        ),
        notes=(absent,),
        **describe_one(name),
    )


def norms(
    table: StatsTable,
    name: str,
    where: tuple[Representation, str],
    counts: NDArray[np.integer],
    mode: Mode = "light",
) -> View:
    """Return how the norms of the tokens are spread in every layer.

    Args:
        table: The payload.
        name: The version.
        where: Representation and role.
        counts: ``[layers, bins]``, as `ExtraTable.norm_hist` returns them.
        mode: Light or dark.
    """
    representation, role = where
    unit = _("{role_label} tokens, {unit}").format(
        role_label=theme.role_label(role), unit=theme.describe_unit(representation)
    )
    beyond = count_beyond(counts)
    caption = _("{beyond:,} token outputs have a norm below 0.1 or above 100,000.").format(
        beyond=beyond
    )
    return View(
        _("Token norms, {cell} tokens").format(cell=theme.describe_cell(representation, role)),
        "token norms",
        figures.build_norm_map(
            table.layers,
            counts,
            NORM_EDGES,
            find_norm_quantiles(counts),
            unit=unit,
            tapped=table.tapped_layers,
            mode=mode,
        ),
        tabulate_norms(table.layers, {role: counts}),
        caption=caption if beyond else "",
        **describe_one(name),
    )


def norms_of_layer(
    table: StatsTable,
    name: str,
    layer: int,
    representation: Representation,
    counts: Mapping[str, NDArray[np.integer]],
    mode: Mode = "light",
) -> View:
    """Return the norms of the tokens of one layer, ``[layers, bins]`` by role."""
    at = table.position(layer)
    return View(
        _("Layer {layer}: {representation_labels}").format(
            layer=layer, representation_labels=theme.REPRESENTATION_LABELS[representation]
        ),
        "token norms of the layer",
        build_norm_histogram(
            {role: values[at] for role, values in counts.items()},
            NORM_EDGES,
            unit=theme.describe_unit(representation),
            mode=mode,
        ),
        tabulate_norms(np.array([layer]), {r: v[at : at + 1] for r, v in counts.items()}),
        caption=_(
            "Two humps among the patch tokens are high-norm artefact tokens, "
            "which registers are meant to take up."
        ),
        **describe_one(name),
    )


def value_range(
    table: StatsTable,
    name: str,
    where: tuple[Representation, str],
    ends: Floats,
    *,
    bounds: tuple[float, float] | None = None,
    symlog: bool = False,
    mode: Mode = "light",
) -> View:
    """Return the smallest and largest value of every layer, and the layers beyond two bounds.

    Args:
        table: The payload.
        name: The version.
        where: Representation and role.
        ends: As `ExtraTable.value_range` returns them.
        bounds: Lower and upper; those of the representation where None.
        symlog: Logarithmic on both sides of zero.
        mode: Light or dark.
    """
    representation, role = where
    bound = BOUND.get(representation, OTHER_BOUND)
    extremes = find_extremes(table.layers, ends)
    return View(
        _("Smallest and largest value, {cell} tokens").format(
            cell=theme.describe_cell(representation, role)
        ),
        "min and max",
        figures.build_range_curves(
            table.layers,
            extremes["min"].to_numpy(),
            extremes["max"].to_numpy(),
            bounds=bounds or (-bound, bound),
            representation=representation,
            role=role,
            tapped=table.tapped_layers,
            symlog=symlog,
            mode=mode,
        ),
        extremes,
        **describe_one(name),
    )


def suppression(table: StatsTable, name: str, found: Suppression, mode: Mode = "light") -> View:
    """Return by what factor the shared norm lowers the outliers of every layer."""
    return View(
        _("How far the shared norm lowers the outliers"),
        "suppression",
        figures.build_suppression_curve(
            table.layers, found.factor, tapped=table.tapped_layers, mode=mode
        ),
        tabulate_suppression(table.layers, found),
        caption=_(
            "The shared LayerNorm was trained for the last layer. Standing is "
            "a channel's max |x| over that of the median channel, before and "
            "after it. The suppression factor is the fall of the outliers' "
            "standing (geometric mean)."
        ),
        **describe_one(name),
    )


def standings(
    table: StatsTable,
    name: str,
    layer: int,
    role: TokenRole,
    gamma: Floats | None,
    mode: Mode = "light",
) -> View:
    """Return each channel's standing before and after the shared norm, coloured by its γ."""
    before, after = find_standings(table, layer, role)
    frame = pd.DataFrame({"channel": range(len(before)), "before": before, "after": after})
    return View(
        _("Standing before and after, layer {layer}, {role_label} tokens").format(
            layer=layer, role_label=theme.role_label(role)
        ),
        "standing before and after",
        figures.build_suppression_scatter(before, after, gamma=gamma, mode=mode),
        frame if gamma is None else frame.assign(gamma=gamma),
        caption=_("Points below the diagonal are held down."),
        clickable=True,
        **describe_one(name),
    )
