"""The choices that several pages share: layer, representation, token role, statistic, score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis.language import N_, _
from analysis.payload.table import StatsTable
from analysis.read.compare.findings import NEGLIGIBLE
from analysis.read.frames import AGGREGATE_LABELS, Aggregate
from analysis.read.outliers import DEFAULT_THRESHOLDS, SCORE_HELP, SCORE_LABELS, SCORE_UNITS, Score
from analysis.show.figures.axes import SCALE_LABELS, Scale
from analysis.show.figures.theme import (
    REPRESENTATION_LABELS,
    ROLE_LABELS,
    STATISTIC_LABELS,
)
from analysis.vocabulary import Representation, Statistic, TokenRole
from pages.components.shared import selection

REPRESENTATION_HELP = N_(
    "**Block output** (pre) is what a block returns, before any norm. "
    "**Per-layer LN** passes it through a fresh LayerNorm without "
    "parameters. **Global LN** passes it through the model's one "
    "output LayerNorm, which was trained for the last layer only."
)
ROLE_HELP = N_(
    "The CLS token, or all patch tokens of all images pooled. Registers belong to neither."
)
STATISTIC_HELP = N_(
    "Per channel over all tokens: the mean, the standard deviation, or "
    "the largest absolute value. The last grows with the number of "
    "tokens, so that patch and CLS are not comparable in it."
)
AGGREGATE_HELP = N_(
    "How one number is made of all channels of a layer. **p90**, "
    "**p99**: that share of the channels is below it. **std**: the "
    "standard deviation over channels. Of the mean its size |mean| is "
    "taken, unless *Signed* is on."
)
SCALE_HELP = N_(
    "**symlog** is logarithmic on both sides of zero and has a place "
    "for zero itself; below a thousandth of the largest value's decade "
    "it is about linear."
)


def choose_layer(table: StatsTable, among: Iterable[int] | None = None) -> int:
    """Show the choice of a layer, of all or of some; the last one at first."""
    layers = [int(layer) for layer in (table.layers if among is None else among)]
    return selection.choose_on_slider(
        "layer", _("Layer"), layers, default=layers[-1], help=_("Index of the block, from 0.")
    )


def choose_representation() -> Representation:
    """Show the choice of a representation; the block output at first."""
    return selection.choose(
        "representation",
        _("Representation"),
        list(Representation),
        default=Representation.PRE,
        format_func=REPRESENTATION_LABELS.__getitem__,
        help=_(REPRESENTATION_HELP),
    )


def choose_representations(default: Sequence[Representation] = ()) -> list[Representation]:
    """Show the choice of several representations; all at first, or some."""
    return selection.choose_some(
        "representations",
        _("Representations"),
        list(Representation),
        default=default,
        format_func=REPRESENTATION_LABELS.__getitem__,
        help=_(REPRESENTATION_HELP),
    )


def choose_role() -> TokenRole:
    """Show the choice of a token role; patches at first."""
    return selection.choose(
        "role",
        _("Tokens"),
        list(TokenRole),
        default=TokenRole.PATCH,
        format_func=ROLE_LABELS.__getitem__,
        help=_(ROLE_HELP),
    )


def choose_roles() -> list[TokenRole]:
    """Show the choice of several token roles; all at first."""
    return selection.choose_some(
        "roles",
        _("Tokens"),
        list(TokenRole),
        format_func=ROLE_LABELS.__getitem__,
        help=_(ROLE_HELP),
    )


def choose_scale(*, signed: bool = False) -> Scale:
    """Show the choice of the axis; for signed values it is linear or symlog, at first linear."""
    options = [Scale.LINEAR, Scale.SYMLOG] if signed else [Scale.LOG, Scale.LINEAR, Scale.SYMLOG]
    return selection.choose(
        "scale",
        _("Scale"),
        options,
        default=options[0],
        format_func=SCALE_LABELS.__getitem__,
        help=_(SCALE_HELP),
    )


def switch_signed() -> bool:
    """Show whether the mean keeps its sign when it is aggregated."""
    return selection.switch(
        "signed",
        _("Signed"),
        default=False,
        help=_(
            "Aggregate the mean itself instead of its size. Signed means of "
            "many channels cancel, which shows whether they lean to one side."
        ),
    )


def switch_cells() -> bool:
    """Show whether all representations and roles are drawn, or only the one looked at."""
    return selection.switch(
        "cells",
        _("All representations and tokens"),
        default=True,
        help=_("Off: only the representation and tokens that are chosen below."),
    )


def switch_others() -> bool:
    """Show whether all other representations and roles are drawn beside the one looked at."""
    return selection.switch(
        "others",
        _("Outline the others"),
        default=False,
        help=_("The histograms of the other representations and tokens."),
    )


def switch_storage(tables: Sequence[StatsTable]) -> bool:
    """Show whether the storage tokens are drawn too, where a backbone has some."""
    counts = (table.meta.get("counts") for table in tables)
    if not any(isinstance(c, dict) and c.get("n_storage_tokens") for c in counts):
        return False
    return selection.switch(
        "storage",
        _("Registers too"),
        default=False,
        help=_("The registers, each a token role of its own."),
    )


def choose_statistic() -> Statistic:
    """Show the choice of a statistic; the largest absolute value at first."""
    return selection.choose(
        "statistic",
        _("Statistic"),
        list(Statistic),
        default=Statistic.MAX_ABS,
        format_func=STATISTIC_LABELS.__getitem__,
        help=_(STATISTIC_HELP),
    )


def choose_aggregate() -> Aggregate:
    """Show the choice of an aggregate over channels; the median at first."""
    return selection.choose(
        "aggregate",
        _("Over channels"),
        list(Aggregate),
        default=Aggregate.MEDIAN,
        format_func=AGGREGATE_LABELS.__getitem__,
        help=_(AGGREGATE_HELP),
        menu_width=150,
    )


def choose_score() -> Score:
    """Show the choice of what channels are ranked by."""
    return selection.choose(
        "score",
        _("Rank by"),
        list(Score),
        default=Score.MAX_ABS,
        format_func=SCORE_LABELS.__getitem__,
        help="  \n".join(f"**{SCORE_LABELS[score]}**: {SCORE_HELP[score]}" for score in Score),
        menu_width=170,
    )


def choose_threshold(score: Score) -> float:
    """Show the choice from which score on a channel is an outlier; each score has its own."""
    unit = Score.ROBUST if score is Score.MAX_ABS else score
    return selection.choose_number(
        f"threshold_{unit}",
        _("Outlier from"),
        default=DEFAULT_THRESHOLDS[score],
        help=_(
            "A channel is an outlier from this {unit} on ({unit_2}). {score:g} at first."
        ).format(
            unit=SCORE_LABELS[unit], unit_2=SCORE_UNITS[unit], score=DEFAULT_THRESHOLDS[score]
        ),
    )


def choose_negligible() -> float:
    """Show the choice below which size a difference between versions is negligible."""
    return selection.choose_number(
        "negligible",
        _("Negligible below"),
        default=NEGLIGIBLE,
        help=_(
            "In standard deviations, freed of what chance adds. Smaller differences are called "
            "negligible, however certain they are, and their marks are grey; filled marks are "
            "certain. {default:g} at first."
        ).format(default=NEGLIGIBLE),
    )


def choose_k(most: int) -> int:
    """Show the choice of how many channels are listed."""
    options = [k for k in (10, 20, 50, 100) if k < most] or [most]
    return selection.choose(
        "k",
        _("List the top"),
        options,
        default=options[min(1, len(options) - 1)],
        help=_("How many channels are listed; how many outliers there are does not depend on it."),
        menu_width=130,
    )
