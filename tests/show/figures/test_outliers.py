from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from analysis.show.figures import theme
from analysis.show.figures.outliers import (
    MAX_LINES,
    build_channel_lines,
    build_channel_marks,
    build_channel_scatter,
    build_exceedance_scatter,
    build_outlier_counts,
)
from analysis.vocabulary import Representation
from tests.show.figures.reading import assert_lean, layout, named, names, notes, title, traces

STATISTICS = np.array([[0.1, -0.2, 0.3, 0.0], [1.0, 1.0, 1.0, 0.0], [2.0, 90.0, 40.0, 0.0]])
MASK = np.array([False, True, True, False])
VALUES = np.array([[1.0, 10.0, 100.0], [0.0, 2.0, 3.0]])
CHANNELS, LAYERS = np.array([77, 5]), np.array([0, 1, 2])


def _scatter(**changes: Any) -> go.Figure:
    options: dict[str, Any] = {
        "values": STATISTICS[2],
        "outlier_mask": MASK,
        "statistics": STATISTICS,
        "top": np.array([1, 2, 0]),
        "value_label": "max |x| (unit)",
        "level": 30.0,
    }
    return build_channel_scatter(**{**options, **changes})


def test_every_channel_is_drawn_and_the_outliers_are_marked() -> None:
    figure = _scatter()
    assert names(figure) == ["other channels (2)", "outliers (2)"]
    outliers = named(figure, "outliers (2)")
    np.testing.assert_array_equal(outliers.x, [1, 2])
    np.testing.assert_array_equal(outliers.y, [90, 40])
    np.testing.assert_allclose(outliers.customdata[0], [1, -0.2, 1.0, 90.0], rtol=1e-6)
    others = named(figure, "other channels (2)")
    np.testing.assert_array_equal(others.x, [0, 3])
    assert title(layout(figure).xaxis) == "channel"
    assert title(layout(figure).yaxis) == "max |x| (unit)"
    assert layout(figure).yaxis.type == "log"
    assert_lean(figure)


def test_a_channel_of_zero_stays_visible_and_its_hover_true() -> None:
    others = named(_scatter(), "other channels (2)")
    assert 0 < others.y[1] < 2.0
    assert others.customdata[1].tolist() == [3, 0, 0, 0]


def test_values_below_the_floor_stand_on_it() -> None:
    values = np.array([-1.0, 90.0, 40.0, 0.01])
    others = named(_scatter(values=values, floor=0.1), "other channels (2)")
    np.testing.assert_allclose(others.y, 0.1)


def test_only_outliers_among_the_top_are_labelled() -> None:
    assert notes(_scatter()) == ["1", "2"]
    annotation = layout(_scatter()).annotations[0]
    assert annotation.y == pytest.approx(np.log10(90))
    assert notes(_scatter(outlier_mask=np.zeros(4, dtype=bool))) == []


def test_the_level_is_drawn_where_there_is_one() -> None:
    assert [shape.y0 for shape in layout(_scatter()).shapes] == [30.0]
    for level in (None, np.inf, 0.0):
        assert not layout(_scatter(level=level)).shapes


def test_a_layer_without_outliers_shows_all_channels_and_says_none() -> None:
    figure = _scatter(outlier_mask=np.zeros(4, dtype=bool))
    assert names(figure) == ["other channels (4)", "outliers (0)"]


def test_the_map_has_a_row_per_channel_and_logarithmic_colours() -> None:
    figure = build_channel_marks(VALUES, CHANNELS, LAYERS, value_label="max |x|")
    heatmap, _ = traces(figure)
    np.testing.assert_array_equal(heatmap.x, LAYERS)
    np.testing.assert_allclose(heatmap.z[0], [0, 1, 2], atol=1e-6)
    assert np.isnan(heatmap.z[1, 0])  # 0 has no logarithm
    assert layout(figure).yaxis.ticktext.tolist() == ["77", "5"]
    assert layout(figure).yaxis.range == (1.5, -0.5)  # the first row on top
    assert heatmap.colorbar.title.text == "max |x|"
    assert title(layout(figure).xaxis) == "layer (block index)"
    assert title(layout(figure).yaxis) == "channel"
    assert_lean(figure)


def test_every_cell_of_the_clickable_map_is_a_mark_that_knows_its_channel_and_layer() -> None:
    figure = build_channel_marks(VALUES, CHANNELS, LAYERS, value_label="max |x|")
    heatmap, marks = traces(figure)
    assert heatmap.hoverinfo == "skip"  # else it takes the click and loses it
    assert layout(figure).hoverdistance == -1
    cells = {
        (x, y): tuple(data) for x, y, data in zip(marks.x, marks.y, marks.customdata, strict=True)
    }
    assert len(cells) == 6
    assert cells[(2, 0)] == (77, 2, 100)
    assert cells[(0, 1)] == (5, 0, 0)
    assert (marks.marker.opacity, marks.marker.maxdisplayed) == (0, 1)
    assert_lean(figure)


def test_a_map_of_many_rows_thins_out_its_labels() -> None:
    rows = np.arange(100)
    figure = build_channel_marks(np.ones((100, 2)), rows, LAYERS[:2], value_label="x")
    assert len(layout(figure).yaxis.ticktext) <= 40
    assert layout(figure).yaxis.ticktext[1] == str(rows[layout(figure).yaxis.tickvals[1]])


def test_a_map_of_one_cell_and_of_zeros_can_be_drawn() -> None:
    for value in (0.0, 5.0):
        cell = np.full((1, 1), value)
        figure = build_channel_marks(cell, CHANNELS[:1], LAYERS[:1], value_label="x")
        figure.to_json()
        assert layout(figure).xaxis.range == (-0.5, 0.5)


def test_the_first_channels_are_lines_that_know_their_channel() -> None:
    figure = build_channel_lines(VALUES, CHANNELS, LAYERS, value_label="max |x| (u)", tapped=(1,))
    assert names(figure) == ["channel 77", "channel 5", "tapped by the config"]
    np.testing.assert_array_equal(named(figure, "channel 77").y, VALUES[0])
    second = named(figure, "channel 5")
    np.testing.assert_array_equal(second.y, [np.nan, 2, 3])  # 0 has no logarithm
    np.testing.assert_array_equal(second.customdata, [[5, 0, 0], [5, 1, 2], [5, 2, 3]])
    assert title(layout(figure).yaxis) == "max |x| (u)"
    assert_lean(figure)
    many = build_channel_lines(np.ones((20, 3)), np.arange(20), LAYERS, value_label="x")
    styles = {(line.line.color, line.line.dash) for line in traces(many)}
    assert len(styles) == len(traces(many)) == MAX_LINES
    colors = {line.line.color for line in traces(many)}
    assert not colors & {theme.representation_color(r, "light") for r in Representation}


def test_of_many_channels_beyond_a_level_the_largest_are_marks_and_all_can_be_clicked() -> None:
    rng = np.random.default_rng(0)
    share = np.stack([rng.uniform(0.001, 0.05, 4000), np.zeros(4000), np.zeros(4000)])
    share[:, 7] = 0.9
    share[0, 2000:2100] = 0  # whole runs without a token beyond the level
    share[0, 2050] = 0.002  # alone in its run
    ranges, unseen, marks, *others = traces(build_exceedance_scatter(share, np.ones(4000, int)))
    assert {trace.type for trace in (ranges, unseen, marks, *others)} == {"scatter"}
    assert ranges.hoverinfo == "skip"  # else it takes the click and loses it
    drawn = set(np.flatnonzero(share[0]))
    largest = set(np.argsort(share[0])[-128:])
    assert set(marks.x) == largest
    assert set(unseen.x) == drawn - largest
    assert [trace.x.tolist() for trace in others] == [[7], [7]]
    for trace in (unseen, marks):
        np.testing.assert_array_equal(trace.customdata[:, 0], trace.x)
        np.testing.assert_allclose(trace.y, 100 * share[0, trace.x.astype(int)], rtol=1e-6)
    low, high, _ = ranges.y.reshape(-1, 3).T
    left, right, _ = ranges.x.reshape(-1, 3).T
    assert ((low < high) | (left < right)).all()  # no line is a point, which is not drawn
    np.testing.assert_allclose(low[(left < 2050) & (right > 2050) & (low == high)], [0.2])
    quiet = 100 * share[0, sorted(drawn - largest)]
    np.testing.assert_allclose([low.min(), high.max()], [quiet.min(), quiet.max()], rtol=1e-6)


def test_of_few_channels_beyond_a_level_each_is_a_mark() -> None:
    share = np.array([[0.5, 0.1, 0.0], [0.2, 0.0, 0.0], [0.0, 0.0, 0.0]])
    figure = build_exceedance_scatter(share, np.array([3, 1, 0]))
    assert [trace.x.tolist() for trace in traces(figure)] == [[0, 1], [0], []]
    assert {trace.mode for trace in traces(figure)} == {"markers"}


def test_layers_without_outliers_stand_at_zero() -> None:
    counts = np.zeros((3, 3, 2), dtype=np.int64)
    counts[1, 0, 1] = 12
    counts[2, 2, 0] = 3
    figure = build_outlier_counts(LAYERS, counts, channels=4096, tapped=(2,))
    assert named(figure, "block output, patch").y.tolist() == [0, 12, 0]
    assert named(figure, "global LN, CLS").y.tolist() == [0, 0, 3]
    assert len(names(figure)) == 3 * 2 + 1
    line = named(figure, "per-layer LN, CLS").line
    assert line.color == theme.representation_color(Representation.PER_LAYER_LN, "light")
    assert title(layout(figure).yaxis) == "outliers among 4,096 channels"
    assert layout(figure).yaxis.rangemode == "tozero"
    assert layout(figure).yaxis.dtick is None
    few = build_outlier_counts(LAYERS, np.minimum(counts, 2), channels=4096)
    assert layout(few).yaxis.dtick == 1  # between 1 and 2 there is no tick that rounds to either
    assert_lean(figure)


def test_nothing_to_draw_is_said() -> None:
    none = np.array([], dtype=np.int32)
    empty = np.zeros((0, 3))
    for figure in (
        build_channel_marks(empty, none, LAYERS, value_label="x"),
        build_channel_lines(empty, none, LAYERS, value_label="x"),
        build_outlier_counts(LAYERS[:0], np.zeros((0, 3, 2), dtype=int), channels=3),
        _scatter(values=np.array([]), statistics=np.zeros((3, 0)), outlier_mask=MASK[:0]),
    ):
        assert len(notes(figure)) == 1
        assert layout(figure).xaxis.visible is False


def test_dark_figures_take_the_colours_of_the_dark_page() -> None:
    light, dark = _scatter(), _scatter(mode="dark")
    assert named(dark, "outliers (2)").marker.color == theme.accent_color("dark")
    assert named(light, "outliers (2)").marker.color == theme.accent_color("light")
