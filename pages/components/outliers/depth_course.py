"""The channels that stand out through the network: as a map, as lines, or how many there are."""

from __future__ import annotations

from enum import StrEnum

from analysis.language import N_, Texts, _
from analysis.read.outliers import Score
from analysis.show.figures.outliers import MAX_LINES
from analysis.show.views import outliers as views
from analysis.vocabulary import Representation, TokenRole
from pages.components.shared import channel_links, derived, downloads, selection
from pages.components.shared.version import Version

ROWS = 30


class Course(StrEnum):
    """How the channels are drawn."""

    MAP = "map"
    LINES = "lines"
    COUNTS = "counts"


LABELS = Texts(
    {
        Course.MAP: N_("Channel × layer map"),
        Course.LINES: N_("Lines of the first {max_lines}"),
        Course.COUNTS: N_("Outliers per layer"),
    }
)


def show(
    version: Version,
    representation: Representation,
    role: TokenRole,
    score: Score,
    k: int,
    threshold: float,
) -> None:
    """Show what the top channels of any layer do in all others."""
    choice = selection.choose(
        "course",
        _("Through the network"),
        list(Course),
        default=Course.MAP,
        format_func=lambda course: LABELS[course].format(max_lines=MAX_LINES),
        label_visibility="collapsed",
    )
    table, mode = version.table, downloads.mode()
    if choice is Course.COUNTS:
        counts = derived.outlier_counts(version.reading, score, threshold)
        downloads.show(views.counts(table, version.name, counts, mode))
        return
    found = derived.channel_map(version.reading, representation, role, score, k, max_rows=ROWS)
    where, lines = (representation, role), choice is Course.LINES
    view = views.course(table, version.name, where, score, found, lines=lines, mode=mode)
    channel_links.follow(downloads.show(view))
