"""How large channels are in two versions: the top ones side by side, or all of them."""

from __future__ import annotations

from enum import StrEnum

from analysis.language import N_, Texts, _
from analysis.read.compare.comparison import Comparison
from analysis.read.compare.top_channels import TopComparison
from analysis.show.views import top_channels as views
from analysis.vocabulary import Cell
from pages.components.shared import channel_links, colors, downloads, selection
from pages.components.shared.version import Version


class Drawn(StrEnum):
    """Which channels are drawn."""

    TOP = "top"
    EVERY = "every"


LABELS = Texts({Drawn.TOP: N_("Only these"), Drawn.EVERY: N_("Among all channels")})


def show(
    top: TopComparison, comparison: Comparison, cell: Cell, baseline: Version, version: Version
) -> None:
    """Show the top channels of either version, from the baseline to the version."""
    drawn = selection.choose(
        "drawn",
        _("Draw the top channels"),
        list(Drawn),
        default=Drawn.TOP,
        format_func=LABELS.__getitem__,
    )
    make = views.top_changes if drawn is Drawn.TOP else views.every_channel
    slots = colors.choose_slots([version, baseline])[::-1]
    channel_links.follow(downloads.show(make(comparison, cell, top, slots, downloads.mode())))
