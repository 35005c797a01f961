"""Maps come with the numbers behind them, by channel, row and column."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.show.figures.maps import MapPanel
from analysis.show.views import images as views

MAPS = np.arange(12, dtype=np.float32).reshape(2, 2, 3) + 1


def test_a_map_is_tabulated_by_channel_row_and_column() -> None:
    view = views.footprints(3, np.array([7, 2]), MAPS, "a", selected=2)
    frame = view.tabulate()
    place = (frame["channel"] == 2) & (frame["row"] == 1) & (frame["column"] == 0)
    assert frame.loc[place, "mean_abs"].tolist() == [MAPS[1, 1, 0]]
    assert "layer 3" in view.title


def test_the_words_of_a_map_count_what_was_not_measured() -> None:
    partial = MAPS[0].copy()
    partial[0, 0] = np.nan
    view = views.footprint(3, 7, partial, 10, "a")
    assert "2 to 6" in view.caption
    assert "1 patches were not counted" in view.caption
    nothing = views.footprint(3, 7, np.full((2, 3), np.nan, np.float32), 10, "a")
    assert "Colours" not in nothing.caption


def test_wide_pictures_take_fewer_lines_than_tall_ones() -> None:
    def rows(grid: tuple[int, int], arms: int) -> int:
        panels = [MapPanel("x", np.zeros((2, *grid), np.float32))] * arms
        return views.token_maps(panels, grid, b"", "x", "a", layers=2, first=1).rows

    assert rows((2, 4), 1) < rows((4, 4), 1) < rows((8, 4), 1)
    assert rows((4, 4), 2) < rows((4, 4), 1)


def test_every_token_without_a_place_is_a_line() -> None:
    values = [np.ones((3, 5)), np.zeros((3, 5))]
    view = views.prefix_tokens(values, ["with", "without"], "a", value_label="x")
    figure: Any = view.figure
    assert len(figure.data) >= 5
