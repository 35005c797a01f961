from __future__ import annotations

import numpy as np
import pytest

from analysis.show.figures import theme
from analysis.show.figures.channels import (
    build_channel_depth,
    build_mean_std_scatter,
    build_pair_scatter,
    build_rank_curves,
)
from analysis.vocabulary import Representation, Statistic, TokenRole
from tests.show.figures.reading import assert_lean, layout, named, names, notes, title, traces

LAYERS = np.arange(3)
CELLS = [
    (Representation.PRE, TokenRole.PATCH),
    (Representation.GLOBAL_LN, TokenRole.CLS),
]
VALUES = np.array([[1.0, 20.0, 300.0], [0.5, 0.6, 0.7]])


def test_one_channel_is_a_line_per_cell_with_the_median_behind_it() -> None:
    figure = build_channel_depth(
        LAYERS,
        VALUES,
        CELLS,
        statistic=Statistic.MAX_ABS,
        reference=VALUES / 10,
        reference_name="median channel",
        tapped=(1,),
    )
    assert names(figure) == ["block output, patch", "global LN, CLS", "tapped by the config"]
    line = named(figure, "global LN, CLS")
    np.testing.assert_allclose(line.y, VALUES[1], rtol=1e-6)
    median = named(figure, "global LN, CLS: median channel")
    np.testing.assert_allclose(median.y, VALUES[1] / 10, rtol=1e-6)
    assert median.line.color == line.line.color
    assert title(layout(figure).yaxis) == "max |x| residual-stream units, normalised units"
    assert layout(figure).yaxis.type == "log"
    assert_lean(figure)


def test_the_mean_keeps_its_sign_and_so_a_linear_axis() -> None:
    figure = build_channel_depth(LAYERS, -VALUES, CELLS, statistic=Statistic.MEAN)
    assert layout(figure).yaxis.type is None
    np.testing.assert_allclose(traces(figure)[0].y, -VALUES[0], rtol=1e-6)


def test_a_symlog_axis_keeps_signs_and_order_and_tells_the_values_themselves() -> None:
    values = np.array([[-300.0, -0.3, 0.0, 2.0, 400.0]])
    figure = build_channel_depth(
        np.arange(5), values, CELLS[:1], statistic=Statistic.MEAN, symlog=True, tapped=(1,)
    )
    line = traces(figure)[0]
    assert (np.sign(line.y) == np.sign(values[0])).all()
    assert (np.diff(line.y) > 0).all()
    assert line.y[3] > 0.3 * line.y[4]  # on a linear axis a 200th
    np.testing.assert_allclose(line.customdata, values[0], rtol=1e-6)
    assert line.hovertemplate == "%{customdata:.4g}"
    axis = layout(figure).yaxis
    drawn_at = dict(zip(axis.ticktext, axis.tickvals, strict=True))
    assert drawn_at["0"] == 0
    assert drawn_at["-100"] == -drawn_at["100"]
    assert drawn_at["100"] < line.y[4] < drawn_at["1,000"]
    assert_lean(figure)
    zeros = build_channel_depth(
        LAYERS, np.zeros((1, 3)), CELLS[:1], statistic=Statistic.MEAN, symlog=True
    )
    assert traces(zeros)[0].y.tolist() == [0, 0, 0]


def test_the_first_rank_is_at_the_top_of_a_logarithmic_axis() -> None:
    ranks = np.array([[1, 2, 40], [7, 7, 7]])
    figure = build_rank_curves(LAYERS, ranks, CELLS, channels=100, tapped=(2,))
    assert names(figure) == ["block output, patch", "global LN, CLS", "tapped by the config"]
    assert named(figure, "block output, patch").y.tolist() == [1, 2, 40]
    bottom, top = layout(figure).yaxis.range
    assert bottom > 2 > 0 > top
    assert title(layout(figure).yaxis) == "rank among 100 channels"
    assert_lean(figure)


def test_the_plane_shows_every_channel_by_mean_and_std_coloured_by_maximum() -> None:
    statistics = np.array([[-3.0, 0.0, 1.0], [2.0, 1.0, 0.0], [100.0, 10.0, 1.0]])
    figure = build_mean_std_scatter(statistics, channel=0, unit="unit")
    points = traces(figure)[0]
    assert points.x[0] == 3.0
    assert 0 < points.x[1] < 1.0  # mean 0, at the lower edge
    assert 0 < points.y[2] < 1.0  # std 0
    np.testing.assert_allclose(points.customdata[0], [0, -3, 2, 100])
    np.testing.assert_allclose(points.marker.color, [2, 1, 0], atol=1e-6)
    mark = named(figure, "channel 0")
    assert (mark.x.tolist(), mark.y.tolist()) == ([3.0], [2.0])
    assert mark.type == points.type  # an SVG mark would lie below the points
    assert notes(figure) == ["channel 0"]
    assert layout(figure).annotations[0].x == pytest.approx(np.log10(3))
    assert title(layout(figure).xaxis) == "|mean| over tokens unit"
    assert title(layout(figure).yaxis) == "std over tokens unit"
    assert points.marker.colorbar.title.text == "max |x| (unit)"
    assert_lean(figure)


def test_two_representations_have_an_axis_each_in_their_own_units() -> None:
    x, y = np.array([300.0, 3.0, 0.0]), np.array([0.5, 2.0, 4.0])
    pair = (Representation.PRE, Representation.GLOBAL_LN)
    figure = build_pair_scatter((x, y), pair, statistic=Statistic.MAX_ABS, channel=0)
    points = traces(figure)[0]
    np.testing.assert_array_equal(points.x, [300, 3, 1.5])  # 0 at the lower edge
    np.testing.assert_array_equal(points.customdata, [[0, 300, 0.5], [1, 3, 2], [2, 0, 4]])
    assert "block output: max |x| %{customdata[1]" in points.hovertemplate
    assert title(layout(figure).xaxis) == "max |x|, block output residual-stream units"
    assert title(layout(figure).yaxis) == "max |x|, global LN normalised units"
    assert layout(figure).xaxis.type == layout(figure).yaxis.type == "log"
    assert named(figure, "channel 0").y.tolist() == [0.5]
    assert not layout(figure).shapes
    assert_lean(figure)
    empty = build_pair_scatter((x, np.zeros(3)), pair, statistic=Statistic.STD)
    assert "Every channel is 0" in notes(empty)[0]


def test_nothing_to_draw_is_said() -> None:
    for figure, words in (
        (build_channel_depth(LAYERS, VALUES[:0], [], statistic=Statistic.STD), "Choose"),
        (build_rank_curves(LAYERS, VALUES[:0], [], channels=3), "Choose"),
        (build_mean_std_scatter(np.zeros((3, 4)), unit="x"), "Every channel is 0"),
    ):
        assert words in notes(figure)[0]


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_marked_channel_takes_the_accent_of_the_mode(mode: theme.Mode) -> None:
    figure = build_mean_std_scatter(np.ones((3, 2)), channel=1, unit="x", mode=mode)
    assert named(figure, "channel 1").marker.color == theme.accent_color(mode)
