"""What a page and a report show of one thing: a figure, the numbers behind it, and the words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pandas as pd
import plotly.graph_objects as go

from analysis.language import _

HEIGHT = 400
ROW_HEIGHT = 17
ROOM_AROUND = 120
"""Pixels: the legend above the rows and the axis below."""

Frame: TypeAlias = pd.DataFrame | Callable[[], pd.DataFrame]
"""A table, or what makes it once somebody asks for it."""


@dataclass(frozen=True)
class View:
    """One figure or table, the same wherever it is shown."""

    title: str
    """What is seen, in a few words."""
    name: str
    """Of the files that it is exported to; unique on a page."""
    figure: go.Figure | None = None
    frame: Frame | None = None
    """The numbers behind the figure."""
    sentence: str = ""
    """What it shows of these versions, in one sentence with its numbers."""
    caption: str = ""
    """How to read it; Markdown has no meaning in it."""
    notes: tuple[str, ...] = ()
    """What limits it: what is absent, left out or not comparable."""
    about: str = ""
    """The versions that it shows; never to be rendered as HTML."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Columns that every exported table begins with: the versions by their part."""
    rows: int = 0
    """Labelled rows that must have room below each other."""
    least_height: int = HEIGHT
    """Pixels of a figure of few rows."""
    clickable: bool = False
    """Whether a click on a point means something."""

    @property
    def height(self) -> int:
        """Pixels of the figure."""
        return max(self.least_height, ROOM_AROUND + self.rows * ROW_HEIGHT)

    @property
    def headline(self) -> str:
        """The versions and the title, for the first line of an exported figure."""
        return f"{self.about}: {self.title}" if self.about else self.title

    @property
    def words(self) -> str:
        """The one sentence for an audience: what it shows, else how to read it."""
        return (
            self.sentence or re.split(r"(?<=[.:]) (?=[A-Z])|(?<=。)", self.caption, maxsplit=1)[0]
        )

    @property
    def alternative(self) -> str:
        """What the figure is to somebody who does not see it."""
        return " ".join(
            filter(
                None,
                [
                    _("Figure, {headline}.").format(headline=self.headline),
                    self.sentence,
                    self.caption,
                ],
            )
        )

    def tabulate(self) -> pd.DataFrame:
        """Return the numbers as a table that says of which versions they are.

        Raises:
            ValueError: If the view has no numbers.
        """
        if self.frame is None:
            raise ValueError(f"{self.name} has no table")
        frame = self.frame() if callable(self.frame) else self.frame
        for place, (column, value) in enumerate(self.columns.items()):
            if column not in frame:
                frame = frame.copy(deep=False) if place == 0 else frame
                frame.insert(min(place, frame.shape[1]), column, value)
        return frame


def describe_one(name: str) -> dict[str, Any]:
    """Return the fields that say that a view is of one version."""
    return {"about": name, "columns": {"version": name}}


def describe_pair(baseline: str, version: str) -> dict[str, Any]:
    """Return the fields that say that a view compares a version with its baseline."""
    columns = {"version": version, "baseline": baseline}
    return {
        "about": _("{version} against {baseline}").format(version=version, baseline=baseline),
        "columns": columns,
    }


def describe_versions(names: tuple[str, str]) -> dict[str, Any]:
    """Return the keys of a view of a version and its baseline, or of one version against itself."""
    version, baseline = names
    return describe_one(version) if version == baseline else describe_pair(baseline, version)
