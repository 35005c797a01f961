from __future__ import annotations

import numpy as np
import pytest

from analysis.show.figures import theme
from analysis.show.figures.timeline import build_channel_timeline, build_drift_timeline
from tests.show.figures.reading import assert_lean, layout, named, names, notes, title, traces

VERSIONS = ["spring", "summer", "autumn"]


def test_each_channel_is_a_line_over_the_versions_in_order() -> None:
    values = np.array([[1.0, 5.0], [2.0, 0.0], [40.0, 6.0]])
    figure = build_channel_timeline(values, [7, 900], VERSIONS, value_label="max |x|")
    line = named(figure, "channel 7")
    assert line.x.tolist() == VERSIONS
    assert line.y.tolist() == [1, 2, 40]
    assert set(line.customdata.ravel()) == {7}
    assert np.isnan(named(figure, "channel 900").y[1])  # 0 has no place on a log axis
    assert layout(figure).xaxis.type == "category"  # "2024" is a name, not a number
    assert layout(figure).yaxis.type == "log"
    assert_lean(figure)


def test_drift_is_drawn_for_every_version_but_the_first() -> None:
    drift = np.array([[0, 0], [0.1, 0.2], [0.3, 0.4]])
    figure = build_drift_timeline(np.array([3, 4]), drift, VERSIONS)
    assert names(figure) == VERSIONS[1:]
    line = named(figure, "autumn")
    assert line.x.tolist() == [3, 4]
    np.testing.assert_allclose(line.y, drift[2], rtol=1e-6)
    assert line.line.color == theme.version_color(2, "light")
    assert title(layout(figure).yaxis).startswith("drift from spring")
    assert_lean(figure)


def test_nothing_to_draw_says_so() -> None:
    for figure in (
        build_channel_timeline(np.zeros((3, 0)), [], VERSIONS, value_label="max |x|"),
        build_drift_timeline(np.array([0]), np.zeros((1, 1)), VERSIONS[:1]),
    ):
        assert not traces(figure)
        assert len(notes(figure)) == 1


def test_lines_are_named_where_they_end_and_no_name_lies_on_another() -> None:
    drift = np.array([[0.0, 0.0], [0.5, 1.0], [0.4, 1.001], [0.1, 0.2]])
    figure = build_drift_timeline(np.arange(2), drift, ["first", "a", "b", "<c>"])
    ends = layout(figure).annotations
    assert [note.text for note in ends] == ["&lt;c&gt;", "a", "b"]
    heights = [note.y for note in ends]
    assert heights[:2] == [0.2, 1.0]
    assert heights[2] - heights[1] == pytest.approx(0.07 * 1.001)
    colors = {trace.name: trace.line.color for trace in traces(figure)}
    assert [note.font.color for note in ends] == [colors[name] for name in ("&lt;c&gt;", "a", "b")]
