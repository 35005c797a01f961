"""All channels of a layer as points: mean against std, or one representation against another."""

from __future__ import annotations

from itertools import combinations

from analysis.language import _
from analysis.show.figures.theme import REPRESENTATION_LABELS
from analysis.show.views import channels as views
from analysis.vocabulary import Cell, Representation, Statistic
from pages.components.shared import channel_links, downloads, selection
from pages.components.shared.version import Version

_MEAN_STD = "mean-std"
PAIRS = {f"{a}-{b}": (a, b) for a, b in combinations(Representation, 2)}


def show(version: Version, cell: Cell, statistic: Statistic, channel: int) -> None:
    """Show the plane that is chosen; a click on a point turns to its channel."""
    choice = selection.choose(
        "plane",
        _("Every channel by"),
        [_MEAN_STD, *PAIRS],
        default=_MEAN_STD,
        format_func=_label,
        help=_(
            "Mean and std of the representation that is looked at, or a "
            "statistic in two representations: who is held down or lifted "
            "leaves the line of the others."
        ),
    )
    table, name, mode = version.table, version.name, downloads.mode()
    if choice == _MEAN_STD:
        view = views.mean_std_plane(table, name, cell, channel, mode)
    else:
        view = views.pair_plane(table, name, cell, PAIRS[choice], statistic, channel, mode)
    channel_links.turn_to(downloads.show(view), choice)


def _label(choice: str) -> str:
    if choice == _MEAN_STD:
        return _("mean × std")
    return " × ".join(REPRESENTATION_LABELS[each] for each in PAIRS[choice])
