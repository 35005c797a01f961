from __future__ import annotations

import numpy as np

from analysis.show.figures import theme
from analysis.show.figures.histograms import build_norm_histogram, build_value_histogram
from analysis.vocabulary import Representation, TokenRole
from tests.show.figures.reading import assert_lean, layout, named, names, notes, title, traces

EDGES = np.array([1.0, 10.0, 100.0, 1000.0])
COUNTS = np.array([[0, 5, 0, 1, 0], [0, 0, 10, 0, 0], [0, 0, 0, 2, 2]])
CELLS = [(Representation.PRE, TokenRole.PATCH), (Representation.GLOBAL_LN, TokenRole.CLS)]


def test_the_histogram_counts_every_channel_in_logarithmic_bins() -> None:
    values = np.array([1.0, 1.0, 10.0, -100.0, 1000.0, 0.0])
    figure = build_value_histogram(values, channel=4, value_label="max |x| (unit)")
    bars = traces(figure)[0]
    assert bars.y.sum() == 5
    occupied = bars.x[bars.y > 0]
    np.testing.assert_allclose(occupied, [1, 10, 100, 1000], rtol=0.15)
    for middle, (low, high, _) in zip(bars.x, bars.customdata, strict=True):
        assert low < middle < high
    assert title(layout(figure).xaxis) == "max |x| (unit)"
    assert title(layout(figure).yaxis) == "number of channels; 1 at 0 not drawn"
    assert layout(figure).xaxis.type == "log"
    assert_lean(figure)


def test_the_histogram_marks_the_channel_where_it_stands() -> None:
    figure = build_value_histogram(np.array([1.0, -40.0]), channel=1, value_label="x")
    assert [shape.x0 for shape in layout(figure).shapes] == [20.5, 40.0]
    assert notes(figure) == ["median", "channel 1"]
    for channel, values in ((None, [1.0, 2.0]), (0, [0.0, 2.0])):
        figure = build_value_histogram(np.array(values), channel=channel, value_label="x")
        assert notes(figure) == ["median"]


def test_other_cells_are_outlines_in_the_same_bins_and_the_colour_of_their_representation() -> None:
    values, other = np.array([1.0, 2.0, 3.0]), np.array([0.0, 100.0, -100.0])
    figure = build_value_histogram(values, channel=0, value_label="x", others={CELLS[1]: other})
    bars, outline = traces(figure)
    assert outline.name == "global LN, CLS"
    assert outline.line.color == theme.representation_color(Representation.GLOBAL_LN, "light")
    np.testing.assert_array_equal(outline.x, bars.x)
    assert bars.y.sum() == 3
    assert outline.customdata[:, 2].sum() == 2  # the zero has no place
    (held,) = np.flatnonzero(outline.customdata[:, 2])
    assert outline.customdata[held, 0] < 100 < outline.customdata[held, 1]
    assert np.log10(outline.y[0]) < layout(figure).yaxis.range[0]  # an empty bin is out of sight
    assert_lean(figure)


def test_one_channel_is_a_histogram_too() -> None:
    figure = build_value_histogram(np.array([5.0]), channel=0, value_label="x")
    assert traces(figure)[0].y.sum() == 1


def test_the_norm_histogram_has_a_line_for_each_role_with_its_tokens() -> None:
    counts = {"patch": COUNTS[0], "storage_2": COUNTS[1]}
    figure = build_norm_histogram(counts, EDGES, unit="unit")
    assert names(figure) == ["patch (6 tokens)", "register 2 (10 tokens)"]
    line = named(figure, "patch (6 tokens)")
    np.testing.assert_array_equal(line.y[[0, 2]], [5, 1])
    assert np.log10(line.y[1]) < layout(figure).yaxis.range[0]  # an empty bin is out of sight
    np.testing.assert_allclose(line.customdata[2], [100, 1000, 1])
    assert layout(figure).yaxis.type == layout(figure).xaxis.type == "log"
    assert_lean(figure)


def test_nothing_to_count_is_said() -> None:
    zeros = build_value_histogram(np.zeros(3), channel=None, value_label="x")
    assert notes(zeros) == ["Every channel is 0 here."]
    assert "No token" in notes(build_norm_histogram({"cls": 0 * COUNTS[0]}, EDGES, unit=""))[0]
