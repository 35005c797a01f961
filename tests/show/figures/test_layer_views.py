from __future__ import annotations

import numpy as np
import pytest

from analysis.show.figures import theme
from analysis.show.figures.axes import Scale
from analysis.show.figures.layer_views import (
    build_norm_map,
    build_range_curves,
    build_suppression_curve,
    build_suppression_scatter,
    build_top_curves,
)
from analysis.vocabulary import Representation
from tests.show.figures.reading import assert_lean, layout, named, names, notes, title, traces

LAYERS = np.arange(3)
EDGES = np.array([1.0, 10.0, 100.0, 1000.0])
COUNTS = np.array([[0, 5, 0, 1, 0], [0, 0, 10, 0, 0], [0, 0, 0, 2, 2]])


def test_the_largest_three_and_the_median_are_four_lines() -> None:
    top = np.array([[9.0, 8.0, 7.0, 1.0]] * 3)
    figure = build_top_curves(LAYERS, top, tapped=(1,))
    assert names(figure)[:4] == ["largest", "second largest", "third largest", "median"]
    for index, name in enumerate(names(figure)[:4]):
        np.testing.assert_array_equal(named(figure, name).y, top[:, index])
    assert layout(figure).yaxis.type == "log"
    linear = build_top_curves(LAYERS, top, scale=Scale.LINEAR)
    assert layout(linear).yaxis.type is None
    symlog = build_top_curves(LAYERS, top * [[1], [0], [-1]], scale=Scale.SYMLOG)
    assert "0" in layout(symlog).yaxis.ticktext
    assert "mean over images" in title(layout(figure).yaxis)
    assert_lean(figure)


def test_the_norm_map_shows_the_share_of_tokens_and_leaves_empty_bins_empty() -> None:
    quantiles = np.array([[1.0, 2.0, 3.0]] * 3)
    figure = build_norm_map(LAYERS, COUNTS, EDGES, quantiles, unit="unit")
    cells = traces(figure)[0]
    np.testing.assert_allclose(10 ** cells.z[:, 0], [5 / 6, np.nan, 1 / 6], rtol=1e-5)
    np.testing.assert_allclose(10 ** cells.z[2, 2], 0.5, rtol=1e-5)  # of all, overflow included
    np.testing.assert_array_equal(cells.customdata[:, 0], [5, 0, 1])
    np.testing.assert_allclose(cells.y, [3.162, 31.62, 316.2], rtol=1e-3)
    np.testing.assert_array_equal(named(figure, "99% below").y, [3.0] * 3)
    assert title(layout(figure).yaxis) == "L2 norm of a token unit"
    assert_lean(figure)


def test_layers_beyond_a_bound_are_ringed_and_the_bounds_drawn() -> None:
    low, high = np.array([-1.0, -50.0, -2.0]), np.array([3.0, 4.0, 500.0])
    figure = build_range_curves(
        LAYERS, low, high, bounds=(-10, 10), representation=Representation.PRE, role="storage_1"
    )
    assert named(figure, "above the upper bound (1)").x.tolist() == [2]
    assert named(figure, "below the lower bound (1)").y.tolist() == [-50]
    assert sorted(shape.y0 for shape in layout(figure).shapes) == [-10, 10]
    assert title(layout(figure).yaxis) == "value, register 1 tokens residual-stream units"
    assert_lean(figure)
    bent = build_range_curves(
        LAYERS,
        low,
        high,
        bounds=(-10, 10),
        representation=Representation.PRE,
        role="cls",
        symlog=True,
    )
    below, above = sorted(shape.y0 for shape in layout(bent).shapes)
    assert below == -above
    assert traces(bent)[0].y[1] < above < traces(bent)[0].y[2]  # 4 < 10 < 500
    assert named(bent, "above the upper bound (1)").hovertemplate is None  # told by the line
    calm = build_range_curves(
        LAYERS, low, high, bounds=(-99, 999), representation=Representation.PRE, role="cls"
    )
    assert names(calm) == ["largest value", "smallest value"]


def test_channels_stand_by_their_standing_before_and_after_with_gamma_as_colour() -> None:
    before, after = np.array([1.0, 200.0, 0.0]), np.array([1.0, 4.0, 1.0])
    figure = build_suppression_scatter(before, after, gamma=np.array([1.0, -0.01, 1.0]))
    points = named(figure, "channels")
    np.testing.assert_allclose(points.customdata, [[0, 1, 1, 1], [1, 200, 4, -0.01]], rtol=1e-6)
    np.testing.assert_allclose(points.marker.color, [0, -2], atol=1e-6)
    diagonal = named(figure, "as before")
    assert diagonal.x.tolist() == diagonal.y.tolist() == [1.0, 200.0]
    assert layout(figure).yaxis.range[1] < 1  # up to the points, not to the diagonal's end
    assert_lean(figure)
    plain = named(build_suppression_scatter(before, after), "channels")
    assert plain.marker.color == theme.representation_color(Representation.GLOBAL_LN, "light")


def test_the_suppression_of_each_role_is_a_line_that_breaks_where_there_is_no_outlier() -> None:
    factor = np.array([[np.nan, 2.0], [10.0, 3.0], [20.0, np.nan]])
    figure = build_suppression_curve(LAYERS, factor)
    np.testing.assert_array_equal(named(figure, "CLS").y, factor[:, 0].astype(np.float32))
    np.testing.assert_array_equal(named(figure, "patch").y, factor[:, 1])
    assert [shape.y0 for shape in layout(figure).shapes] == [1]
    assert_lean(figure)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_nothing_to_draw_is_said(mode: theme.Mode) -> None:
    none = np.zeros((3, 5), dtype=int)
    for figure, words in (
        (build_top_curves(LAYERS[:0], np.zeros((0, 4)), mode=mode), "no layers"),
        (build_norm_map(LAYERS, none, EDGES, np.zeros((3, 3)), unit="", mode=mode), "No token"),
        (build_suppression_scatter(np.zeros(2), np.zeros(2), mode=mode), "Every channel is 0"),
        (build_suppression_curve(LAYERS, np.full((3, 2), np.nan), mode=mode), "has an outlier"),
    ):
        assert words in notes(figure)[0]
