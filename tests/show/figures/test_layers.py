from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from analysis.read.frames import Aggregate
from analysis.show.figures import theme
from analysis.show.figures.axes import Scale
from analysis.show.figures.layers import DepthCurve, build_depth_curves, divide_by_baseline
from analysis.show.views import layers as views
from analysis.vocabulary import Representation, Statistic, TokenRole
from tests.show.figures.reading import assert_lean, layout, named, names, notes, title, traces

PRE, LN, GLOBAL = Representation
CLS, PATCH = TokenRole


def _curve(
    representation: Representation = PRE,
    role: str = PATCH,
    version: str = "v1",
    scale: float = 1.0,
    layers: int = 4,
) -> DepthCurve:
    return DepthCurve(
        np.arange(layers), scale * np.linspace(1, 2, layers), representation, role, version
    )


def _build(*curves: DepthCurve, **options: Any) -> go.Figure:
    defaults: dict[str, Any] = {"statistic": Statistic.MAX_ABS, "aggregate": "p99"}
    return build_depth_curves(curves, **{**defaults, **options})


def test_one_version_is_one_panel_with_a_line_per_representation_and_role() -> None:
    figure = _build(_curve(PRE, CLS), _curve(PRE, PATCH, scale=3), _curve(GLOBAL, PATCH))
    assert names(figure) == ["block output, CLS", "block output, patch", "global LN, patch"]
    line = named(figure, "block output, patch")
    np.testing.assert_array_equal(line.x, [0, 1, 2, 3])
    np.testing.assert_allclose(line.y, 3 * np.linspace(1, 2, 4), rtol=1e-6)
    assert line.line.color == theme.representation_color(PRE, "light")
    assert line.line.dash == "solid"
    assert named(figure, "block output, CLS").line.dash == "dot"
    assert {trace.xaxis or "x" for trace in traces(figure)} == {"x"}
    assert_lean(figure)


def test_axes_say_what_is_drawn_in_which_unit() -> None:
    figure = _build(_curve(PRE), _curve(LN))
    assert title(layout(figure).xaxis) == "layer (block index)"
    expected = "max |x|, p99 over channels residual-stream units, normalised units"
    assert title(layout(figure).yaxis) == expected
    figure = _build(_curve(LN), statistic=Statistic.MEAN, aggregate="median")
    assert title(layout(figure).yaxis) == "|mean|, median over channels normalised units"


def test_several_versions_get_a_panel_per_representation_and_a_colour_each() -> None:
    curves = [_curve(r, PATCH, v) for v in ("v1", "v2") for r in (PRE, GLOBAL)]
    figure = _build(*curves)
    assert names(figure) == ["v1, patch", "v2, patch"]
    assert [note.split("<br>")[0] for note in notes(figure)] == ["block output", "global LN"]
    lines = {(t.name, t.xaxis): t.line.color for t in traces(figure)}
    assert (
        lines[("v1, patch", "x")] == lines[("v1, patch", "x2")] == theme.version_color(0, "light")
    )
    assert (
        lines[("v2, patch", "x")] == lines[("v2, patch", "x2")] == theme.version_color(1, "light")
    )
    assert title(layout(figure).yaxis) == "max |x|, p99 over channels"
    for note, axis in zip(
        layout(figure).annotations, (layout(figure).xaxis, layout(figure).xaxis2), strict=True
    ):
        assert (note.x, note.xanchor) == (sum(axis.domain) / 2, "center")


def test_a_version_that_lacks_the_first_representation_is_still_in_the_legend() -> None:
    figure = _build(_curve(PRE, PATCH, "v1"), _curve(GLOBAL, PATCH, "v2"))
    assert names(figure) == ["v1, patch", "v2, patch"]


def test_one_version_can_be_split_into_panels_too() -> None:
    figure = _build(_curve(PRE), _curve(LN), facets=True)
    assert names(figure) == ["patch"]
    colors = {trace.xaxis: trace.line.color for trace in traces(figure)}
    assert colors["x"] == theme.representation_color(PRE, "light")
    assert colors["x2"] == theme.representation_color(LN, "light")


@pytest.mark.parametrize("scale", Scale)
def test_the_axis_is_logarithmic_in_every_panel_or_in_none(scale: Scale) -> None:
    figure = _build(_curve(PRE), _curve(LN), facets=True, scale=scale)
    kinds = {layout(figure).yaxis.type, layout(figure).yaxis2.type}
    assert kinds == ({"log"} if scale is Scale.LOG else {None})


def test_each_panel_has_a_symmetric_logarithmic_axis_of_its_own() -> None:
    large = DepthCurve(np.arange(3), np.array([-400.0, 0.0, 40.0]), PRE, PATCH, "v1")
    small = DepthCurve(np.arange(3), np.array([0.4, 0.0, -0.04]), LN, PATCH, "v1")
    figure = _build(
        large,
        small,
        statistic=Statistic.MEAN,
        signed=True,
        scale=Scale.SYMLOG,
        facets=True,
        tapped=(1,),
    )
    first, second = (t for t in traces(figure) if t.name == "patch")
    np.testing.assert_allclose(first.y, -second.y, rtol=1e-5)  # each in its own units
    np.testing.assert_allclose(second.customdata, small.values, rtol=1e-6)
    assert "-100" in layout(figure).yaxis.ticktext
    assert "0.1" in layout(figure).yaxis2.ticktext
    assert "0.1" not in layout(figure).yaxis.ticktext
    assert title(layout(figure).yaxis) == "mean, p99 over channels"
    assert_lean(figure)


def test_many_lines_have_a_legend_of_colours_and_of_dashes() -> None:
    roles = ["cls", "patch", "storage_0", "storage_1"]
    figure = _build(*(_curve(r, role) for r in (PRE, LN, GLOBAL) for role in roles))
    assert names(figure) == [
        *("block output", "per-layer LN", "global LN"),
        *("CLS tokens", "patch tokens", "register 0 tokens", "register 1 tokens"),
    ]
    line = named(figure, "per-layer LN, register 1")
    assert line.line.color == named(figure, "per-layer LN").line.color
    assert line.line.dash == named(figure, "register 1 tokens").line.dash
    groups = [trace.legendgroup for trace in traces(figure) if trace.showlegend is not False]
    assert len(set(groups)) == len(groups) == 7  # plotly stacks the names of one group
    assert_lean(figure)


def test_markers_make_way_for_dashes_where_there_are_many_layers() -> None:
    assert traces(_build(_curve(layers=40)))[0].mode == "lines"
    assert traces(_build(_curve(layers=12)))[0].mode == "lines+markers"


def test_zeros_that_a_logarithmic_axis_hides_are_counted() -> None:
    curve = DepthCurve(np.arange(3), np.array([0.0, 1.0, 0.0]), PRE, PATCH, "v1")
    assert "2 values of 0" in notes(_build(curve))[0]
    assert notes(_build(curve, scale=Scale.LINEAR)) == []
    assert notes(_build(curve, scale=Scale.SYMLOG)) == []


def test_tapped_layers_are_marked_in_every_panel_and_named_once() -> None:
    figure = _build(_curve(PRE), _curve(LN), facets=True, tapped=(1, 3))
    marks = {(shape.xref, shape.x0) for shape in layout(figure).shapes}
    assert marks == {("x", 1), ("x", 3), ("x2", 1), ("x2", 3)}
    assert {shape.yref for shape in layout(figure).shapes} == {"y domain", "y2 domain"}
    assert names(figure).count("tapped by the config") == 1
    assert not layout(_build(_curve(), tapped=())).shapes


def test_payloads_of_other_depths_share_the_axis() -> None:
    figure = _build(_curve(version="deep", layers=12), _curve(version="flat", layers=2))
    low, high = layout(figure).xaxis.range
    assert low < 0
    assert high > 11


def test_one_layer_is_a_point_in_the_middle() -> None:
    figure = _build(_curve(layers=1))
    assert layout(figure).xaxis.range == (-0.5, 0.5)
    assert "markers" in traces(figure)[0].mode


@pytest.mark.parametrize("curves", [(), (_curve(layers=0),)])
def test_nothing_to_draw_is_said(curves: tuple[DepthCurve, ...]) -> None:
    assert "Choose a representation" in notes(_build(*curves))[0]


@pytest.mark.parametrize("facets", [False, True])
def test_every_layer_is_told_wherever_the_pointer_is_and_the_buttons_leave_the_legend_free(
    facets: bool,
) -> None:
    look = layout(_build(_curve(PRE), _curve(LN), facets=facets))
    assert (look.hovermode, look.hoverdistance) == ("x unified", -1)
    assert look.xaxis.unifiedhovertitle.text == "layer %{x}"
    assert look.modebar.orientation == "v"
    assert look.margin.r == 40


def test_zoom_survives_a_rerun_but_not_another_quantity() -> None:
    first, same = _build(_curve()), _build(_curve(scale=2), mode="dark")
    other = _build(_curve(), statistic=Statistic.STD)
    assert layout(first).uirevision == layout(same).uirevision != layout(other).uirevision


def test_curves_over_a_baseline_are_ratios_layer_by_layer() -> None:
    cell = Representation.PRE, "patch"
    curves = [
        DepthCurve(np.array([0, 1, 2]), np.array([2.0, 3.0, 4.0]), *cell, "moved", 4),
        DepthCurve(np.array([1, 2, 3]), np.array([6.0, 0.0, 1.0]), *cell, "still", 5),
        DepthCurve(np.array([1]), np.array([6.0]), Representation.PRE, "cls", "moved", 4),
    ]
    (ratio,) = divide_by_baseline(curves, "still")
    assert ratio.version == "moved"
    assert ratio.layers.tolist() == [1, 2]
    np.testing.assert_array_equal(ratio.values, [0.5, np.nan])


def test_a_ratio_is_called_one_in_title_and_sentence() -> None:
    curve = DepthCurve(np.array([0, 1]), np.array([1.0, 1.08]), Representation.PRE, "patch", "b")
    view = views.statistic([curve], Statistic.MAX_ABS, Aggregate.MEDIAN, baseline="a")
    assert view.title == "max |x|, median over channels, × that of a"
    assert view.title in view.sentence
    assert view.about == "b against a"
