"""A guided tour of one payload: views that show what its numbers say, and nothing they do not.

Every step rests on a claim that the payload at hand must support; a claim that it does not support
is left out. Thresholds are stated with each claim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.errors import PayloadError
from analysis.language import _
from analysis.payload.table import StatsTable
from analysis.read.compare.comparison import compare
from analysis.read.compare.compatibility import Severity
from analysis.read.digits import show_digits
from analysis.read.frames import Aggregate, aggregate_channels
from analysis.read.outliers import Score, rank_channels
from analysis.vocabulary import Representation, Statistic, TokenRole

DISTORTED = 2.0
"""From this factor on the shared norm counts as distorting an early layer."""

DOMINANT_SHARE = 0.5
"""Share of the squared token length that the three channels must hold."""
DOMINANT_TIMES = 5.0
"""And how many times the median channel's max |x| the least of them must reach."""
DOMINANT_CHANNELS = 3

VISIBLE_DRIFT = 0.02
"""Standard deviations; a smaller drift is not shown around."""
VISIBLE_CHANGE = 0.001
"""Relative change of a block output by the adapter; likewise."""


@dataclass(frozen=True)
class Step:
    """One stop: where it is, what is set there, and how to read it."""

    title: str
    page: str
    """Stem of the page's file."""
    view: Mapping[str, str]
    """Choices by their names in the address."""
    help: str
    """Two sentences with the numbers on the screen; version names in it are not escaped."""


def plan_tour(
    table: StatsTable,
    name: str | None = None,
    twin: StatsTable | None = None,
    twin_name: str | None = None,
    *,
    escape: Callable[[str], str] = str,
) -> tuple[Step, ...]:
    """Return the steps that a payload supports, up to three.

    Args:
        table: The payload.
        name: What the sentences call it.
        twin: The same backbone on the same images with the adapter where `table` has none, or
            without it where it has one; None where there is no such payload.
        twin_name: What the sentences call it.
        escape: Applied to both names.
    """
    steps = (
        show_shared_norm(table),
        show_dominant_channels(table),
        show_adapter(
            table,
            escape(name or _("this version")),
            twin,
            escape(twin_name or _("its twin")),
        ),
    )
    return tuple(step for step in steps if step is not None)


def show_shared_norm(table: StatsTable) -> Step | None:
    """Compare the shared norm with the layer's own, early against last.

    Of the first third of the layers the one is named where the ratio of the two (99th percentile
    over channels of max |x|, patch tokens) differs most from that of the last layer.
    """
    sizes = aggregate_channels(table, Statistic.MAX_ABS, Aggregate.P99)[
        :, :, TokenRole.PATCH.position
    ].astype(np.float64)
    shared = sizes[:, Representation.GLOBAL_LN.position]
    own = sizes[:, Representation.PER_LAYER_LN.position]
    early = table.num_layers // 3
    if not early or not (shared > 0).all() or not (own > 0).all():
        return None
    factor = (shared / own) / (shared[-1] / own[-1])
    at = int(np.argmax(np.abs(np.log(factor[:early]))))
    if not max(factor[at], 1 / factor[at]) >= DISTORTED:
        return None
    first, last = int(table.layers[at]), int(table.layers[-1])
    size = (
        _("{factor:.2g} times").format(factor=factor[at])
        if factor[at] > 1
        else _("1/{factor:.2g} of").format(factor=1 / factor[at])
    )
    return Step(
        _("The shared LayerNorm distorts early layers"),
        "layers",
        {
            "view": "statistic",
            "statistic": Statistic.MAX_ABS.value,
            "aggregate": Aggregate.P99.value,
            "representations": f"{Representation.PER_LAYER_LN}.{Representation.GLOBAL_LN}",
            "roles": TokenRole.PATCH.value,
            "scale": "log",
        },
        _(
            "In layer {first} the shared norm gives patch tokens a size of "
            "{shared:.3g} (99th percentile over channels of max |x|) where a "
            "norm of the layer's own gives {own:.3g}; in layer {last}, whose "
            "output it was trained for, they give {shared_2:.3g} and "
            "{own_2:.3g}. Against the layer's own norm that is {size} what it "
            "is in layer {last}: features taken from layer {first} through the "
            "shared norm have another scale than the head may expect."
        ).format(
            first=first,
            shared=shared[at],
            own=own[at],
            last=last,
            shared_2=shared[-1],
            own_2=own[-1],
            size=size,
        ),
    )


def show_dominant_channels(table: StatsTable) -> Step | None:
    """Name the three largest channels of the patch tokens, where they hold half of the length.

    The squared length of a token is the sum of its squared channels, on average Σ(μ² + σ²). The
    layer is named in which the three channels of largest max |x| hold most of it.
    """
    if table.channels < 8 * DOMINANT_CHANNELS:
        return None
    cell = Representation.PRE, TokenRole.PATCH
    mean, std = (
        table.over_depth(*cell, statistic).astype(np.float64)
        for statistic in (Statistic.MEAN, Statistic.STD)
    )
    squares = mean**2 + std**2
    order = np.argsort(-table.over_depth(*cell, Statistic.MAX_ABS), axis=-1, kind="stable")
    energy = np.take_along_axis(squares, order[:, :DOMINANT_CHANNELS], axis=-1).sum(axis=-1)
    total = squares.sum(axis=-1)
    share = np.divide(energy, total, out=np.zeros_like(total), where=total > 0)
    at = int(np.argmax(share))
    layer = int(table.layers[at])
    top = rank_channels(table, layer, *cell, Score.MAX_ABS, DOMINANT_CHANNELS).frame
    least, most = top["times_median"].min(), top["times_median"].max()
    if not (share[at] >= DOMINANT_SHARE and least >= DOMINANT_TIMES):
        return None
    *others, final = top["channel"].tolist()
    named = _("{str} and {final}").format(str=_(", ").join(map(str, others)), final=final)
    return Step(
        _("Three channels hold most of the length of patch tokens"),
        "outliers",
        {
            "representation": Representation.PRE.value,
            "role": TokenRole.PATCH.value,
            "score": Score.MAX_ABS.value,
            "layer": str(layer),
        },
        _(
            "In layer {layer} the channels {named} reach {least:.0f} to "
            "{most:.0f} times the max |x| of the median channel (column × "
            "median of the table). Of the squared length of an average patch "
            "token they hold {share:.0%}, where {dominant_channels} of "
            "{channels} like channels would hold {dominant_channels_2:.1%}; "
            "the map below the table shows in which layers they grow."
        ).format(
            layer=layer,
            named=named,
            least=least,
            most=most,
            share=share[at],
            dominant_channels=DOMINANT_CHANNELS,
            channels=table.channels,
            dominant_channels_2=DOMINANT_CHANNELS / table.channels,
        ),
    )


def show_adapter(
    table: StatsTable, name: str, twin: StatsTable | None, twin_name: str
) -> Step | None:
    """Say what the adapter changed: against the twin, else by the record of the extraction."""
    if twin is not None:
        return _show_drift(table, name, twin, twin_name)
    proof = table.run.get("lora_proof")
    if not _has_adapter(table) or not isinstance(proof, list) or len(proof) != table.num_layers:
        return None
    changes = np.asarray(proof, dtype=np.float64)
    if not np.isfinite(changes).all() or changes.max() < VISIBLE_CHANGE:
        return None
    most = int(table.layers[np.argmax(changes)])
    return Step(
        _("What LoRA changed"),
        "overview",
        {},
        _(
            "Switched on and off on up to eight images, the adapter changes "
            "the block outputs by {changes_min:.2g} to {changes_max:.2g} of "
            "their size, most in layer {most} (figure What the adapter "
            "changes). For the change over all images, extract the frozen "
            "backbone too and open Versions."
        ).format(changes_min=changes.min(), changes_max=changes.max(), most=most),
    )


def _show_drift(table: StatsTable, name: str, twin: StatsTable, twin_name: str) -> Step | None:
    if _has_adapter(table) == _has_adapter(twin):
        return None
    try:
        comparison = compare(table, twin)
    except PayloadError:
        return None
    if comparison.drift is None or comparison.severity is Severity.RED:
        return None
    drift = comparison.drift[:, Representation.PRE.position, TokenRole.PATCH.position]
    if not drift.max() >= VISIBLE_DRIFT:
        return None
    low, high = int(drift.argmin()), int(drift.argmax())
    adapted, frozen = (name, twin_name) if _has_adapter(table) else (twin_name, name)
    return Step(
        _("What LoRA changed"),
        "versions",
        {
            "representation": Representation.PRE.value,
            "role": TokenRole.PATCH.value,
            "representations": Representation.PRE.value,
            "roles": TokenRole.PATCH.value,
            "layer": str(int(comparison.layers[high])),
        },
        _(
            "Between {frozen} and {adapted} the patch tokens drift by "
            "{drift} standard deviations in layer {layers} and by "
            "{drift_2} in layer {layers_2}, the least and the most. Drift "
            "that is not above what chance alone gives, which the page shows "
            "beside it, is no effect of the adapter."
        ).format(
            frozen=frozen,
            adapted=adapted,
            drift=show_digits(float(drift[low]), 2),
            layers=comparison.layers[low],
            drift_2=show_digits(float(drift[high]), 2),
            layers_2=comparison.layers[high],
        ),
    )


def _has_adapter(table: StatsTable) -> bool:
    return bool(table.backbone.get("used_lora"))
