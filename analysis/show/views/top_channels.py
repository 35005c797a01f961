"""The top channels of a version and its baseline: how they changed, and how many both share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.language import _
from analysis.read.compare.comparison import Comparison
from analysis.read.compare.overlap import RankBy
from analysis.read.compare.top_channels import TopComparison
from analysis.read.frames import tabulate_cells
from analysis.read.scores import Score
from analysis.show.figures import theme
from analysis.show.figures import versions as figures
from analysis.show.figures.theme import Mode
from analysis.show.view import View, describe_pair
from analysis.show.views import sentences
from analysis.vocabulary import REPRESENTATIONS, ROLES, Cell, Representation, Statistic, TokenRole

Floats = NDArray[np.floating]

OVERLAP = "overlap"
"""Name of the view of how far the top channels agree."""


def top_changes(
    comparison: Comparison, cell: Cell, top: TopComparison, slots: Sequence[int], mode: Mode
) -> View:
    """Return the top channels of either version, each from the baseline to the version.

    Args:
        comparison: The two versions.
        cell: Which channels.
        top: As `comparison.top(cell, ...)` returns it.
        slots: Colours of baseline and version.
        mode: Light or dark.
    """
    return View(
        _("Top channels of {channels}").format(channels=theme.describe_channels(cell)),
        "top channels",
        figures.build_top_changes(
            top.frame,
            names=comparison.names,
            slots=slots,
            value_label=_("max |x|, {channels}").format(channels=theme.describe_channels(cell)),
            mode=mode,
        ),
        lambda: name_columns(top.frame, comparison.names),
        sentence=sentences.count_changes(top),
        caption=_explain_turnover(comparison, cell, top),
        rows=len(top.frame),
        **describe_pair(*comparison.names),
    )


def _explain_turnover(comparison: Comparison, cell: Cell, top: TopComparison) -> str:
    """Return what chance alone makes new among the top by |mean| / std, which groups can tell."""
    if top.score is not Score.MEAN_OVER_STD:
        return ""
    turnover = comparison.turnover(cell, top.k, RankBy.MEAN_OVER_STD)
    if turnover is None or turnover.by_chance[0] is None:
        return _(
            "How many of them chance alone makes new is not known: both versions need statistics "
            "of eight image groups or more."
        )
    low, high = turnover.by_chance
    return _(
        "Chance alone makes {low} to {high} of the top {k} new, so as many new and gone say "
        "nothing."
    ).format(low=low, high=high, k=turnover.k)


def every_channel(
    comparison: Comparison, cell: Cell, top: TopComparison, slots: Sequence[int], mode: Mode
) -> View:
    """Return every channel, the version against its baseline; the arguments of `top_changes`."""
    sizes = [table[cell][Statistic.MAX_ABS.position] for table in comparison.tables]
    status = top.frame.groupby("status")["channel"]
    names = comparison.names
    return View(
        _("Every channel of {channels}").format(channels=theme.describe_channels(cell)),
        "every channel",
        figures.build_channel_comparison(
            *sizes,
            names=names,
            slots=slots,
            value_label=_("max |x|"),
            status={str(name): channels.to_numpy() for name, channels in status},
            mode=mode,
        ),
        lambda: pd.DataFrame(
            {"channel": np.arange(len(sizes[0])), **dict(zip(names, sizes, strict=True))}
        ),
        sentence=sentences.count_changes(top),
        caption=" ".join(
            filter(
                None,
                [
                    _explain_turnover(comparison, cell, top),
                    _("Click a channel to follow it through the layers on the Channels page."),
                ],
            )
        ),
        clickable=True,
        **describe_pair(*comparison.names),
    )


def name_columns(frame: pd.DataFrame, names: tuple[str, str]) -> pd.DataFrame:
    """Return a table whose columns ``..._a`` and ``..._b`` carry the names of the versions."""
    ends = {"_a": names[0], "_b": names[1]}
    return frame.rename(columns=lambda c: f"{c[:-2]}, {ends[c[-2:]]}" if c[-2:] in ends else c)


def overlap(
    comparison: Comparison,
    found: Floats,
    *,
    k: int,
    ranked_by: str,
    by_chance: Floats | None = None,
    measure: str = "Jaccard",
    representations: Sequence[Representation] = REPRESENTATIONS,
    roles: Sequence[TokenRole] = ROLES,
    mode: Mode = "light",
) -> View:
    """Return how far the top channels of both agree over depth.

    Args:
        comparison: The two versions.
        found: ``[layers, 3, 2]``, 0 to 1.
        k: How many channels are the top.
        ranked_by: What they are ranked by, in words.
        by_chance: ``[layers, 3, 2]``: what two measurements without a change share.
        measure: How the overlap is measured.
        representations: Which to draw.
        roles: Which to draw.
        mode: Light or dark.
    """

    def tabulate() -> pd.DataFrame:
        frame = tabulate_cells(comparison.layers, found, "overlap")
        return frame if by_chance is None else frame.assign(without_a_change=by_chance.ravel())

    thin = _(" Thin lines: what is shared without a change.") if by_chance is not None else ""
    return View(
        _("Overlap of the top {k}").format(k=k),
        OVERLAP,
        figures.build_jaccard_curves(
            comparison.layers,
            found,
            k=k,
            by_chance=by_chance,
            measure=measure,
            representations=representations,
            roles=roles,
            mode=mode,
        ),
        tabulate,
        sentence=sentences.name_largest_cell(
            _("overlap"),
            comparison.layers,
            found,
            [(each, role) for each in representations for role in roles],
            smallest=True,
        ),
        caption=_("Ranked by {ranked_by}.{thin}").format(ranked_by=ranked_by, thin=thin),
        **describe_pair(*comparison.names),
    )
