"""The channels that stand out through the network: as a map, as lines, or how many there are."""

from __future__ import annotations

from enum import StrEnum

import pandas as pd
import streamlit as st

from analysis.read.frames import tabulate_cells
from analysis.read.outliers import ChannelMap, Score
from analysis.show.figures import outliers as figures
from analysis.vocabulary import Representation, TokenRole
from pages.components.shared import channel_links, controls, derived, downloads, selection
from pages.components.shared.version import Version

ROWS = 30


class Course(StrEnum):
    """How the channels are drawn."""

    MAP = "map"
    LINES = "lines"
    COUNTS = "counts"


LABELS = {
    Course.MAP: "Channel × layer map",
    Course.LINES: f"Lines of the first {figures.MAX_LINES}",
    Course.COUNTS: "Outliers per layer",
}


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
        "Through the network",
        list(Course),
        default=Course.MAP,
        format_func=LABELS.__getitem__,
        label_visibility="collapsed",
    )
    table, mode = version.table, downloads.mode()
    if choice is Course.COUNTS:
        counts = derived.outlier_counts(version.reading, score, threshold)
        downloads.show_figure(
            figures.build_outlier_counts(
                table.layers,
                counts,
                channels=table.channels,
                tapped=table.tapped_layers,
                mode=mode,
            ),
            "outliers per layer",
            lambda: tabulate_cells(table.layers, counts, "outliers"),
        )
        return
    course = derived.channel_map(version.reading, representation, role, score, k, max_rows=ROWS)
    drawn = score if score is Score.MEAN_OVER_STD else Score.MAX_ABS
    label = controls.label_score(drawn, representation)
    if choice is Course.MAP:
        figure = figures.build_channel_marks(
            course.values, course.channels, course.layers, value_label=label, mode=mode
        )
        rows = len(course.channels)
    else:
        figure = figures.build_channel_lines(
            course.values,
            course.channels,
            course.layers,
            value_label=label,
            tapped=table.tapped_layers,
            mode=mode,
        )
        rows = 0
    clicked = downloads.show_figure(
        figure,
        f"channels over depth {choice}",
        lambda: _tabulate(course),
        rows=rows,
        clickable=True,
    )
    channel_links.follow(clicked)
    if choice is Course.MAP and course.total > len(course.channels):
        st.caption(
            f"The {len(course.channels)} most persistent of {course.total} channels that are among "
            f"the top {k} of any layer."
        )


def _tabulate(course: ChannelMap) -> pd.DataFrame:
    """Return the map as one row per channel and layer."""
    index = pd.MultiIndex.from_product([course.channels, course.layers], names=["channel", "layer"])
    return pd.DataFrame({"value": course.values.ravel()}, index=index).reset_index()
