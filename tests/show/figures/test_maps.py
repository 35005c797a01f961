from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.show.figures.maps import MapPanel, build_map_animation, build_prefix_curves
from tests.show.figures.reading import layout

LAYERS = np.arange(3)
GRID = (2, 3)


def _values(offset: float = 0.0) -> np.ndarray:
    values = np.random.default_rng(0).normal(0, 1, (3, *GRID)) + offset
    values[2] *= 100
    return values


def _build(*panels: MapPanel, **changes: Any) -> Any:
    settings: dict[str, Any] = {"photograph": b"jpeg", "value_label": "x", "first": 1} | changes
    return build_map_animation(panels, LAYERS, GRID, **settings)


def test_every_layer_is_a_frame_that_holds_its_values_and_the_first_is_drawn() -> None:
    values = _values()
    figure = _build(MapPanel("a", values))
    assert [frame.name for frame in figure.frames] == ["0", "1", "2"]
    for place, frame in enumerate(figure.frames):
        np.testing.assert_allclose(frame.data[0].z, values[place], rtol=1e-6)
    np.testing.assert_allclose(figure.data[0].z, values[1], rtol=1e-6)
    assert layout(figure).sliders[0].active == 1
    steps = [step.args[0] for step in layout(figure).sliders[0].steps]
    assert [tuple(names) for names in steps] == [("0",), ("1",), ("2",)]


@pytest.mark.parametrize("signed", [True, False])
def test_panels_share_their_colours_and_each_layer_spans_its_own(signed: bool) -> None:
    a, b = _values(50), _values(50) * 2
    figure = _build(MapPanel("a", a), MapPanel("b", b), signed=signed)
    for place, frame in enumerate(figure.frames):
        both = np.stack([a[place], b[place]])
        assert {(trace.zmin, trace.zmax) for trace in frame.data} == {
            (frame.data[0].zmin, frame.data[0].zmax)
        }
        assert frame.data[0].zmin <= both.min() + 1e-6
        assert frame.data[0].zmax >= both.max() - 1e-6
        middle = (frame.data[0].zmin + frame.data[0].zmax) / 2
        if signed:
            assert middle == pytest.approx(np.median(both))
        assert [trace.xaxis for trace in frame.data] == ["x", "x2"]


def test_the_photograph_lies_below_each_map_and_covers_the_grid() -> None:
    figure = _build(MapPanel("a", _values()), MapPanel("b", _values()))
    assert len(layout(figure).images) == 2
    for image in layout(figure).images:
        assert (image.x, image.y, image.sizex, image.sizey) == (-0.5, -0.5, 3, 2)
        assert image.layer == "below"
        assert image.source.startswith("data:image/jpeg;base64,")
    assert tuple(layout(figure).yaxis.range) == (1.5, -0.5)  # row 0 is the top one


def test_pictures_are_drawn_as_they_are_without_the_photograph() -> None:
    figure = _build(MapPanel("a", pictures=[b"0", b"1", b"2"]))
    sources = [frame.data[0].source for frame in figure.frames]
    assert len(set(sources)) == 3
    assert not layout(figure).images


def test_a_map_of_equal_values_is_drawn() -> None:
    for signed in (True, False):
        trace = _build(MapPanel("a", np.full((3, *GRID), 7.0)), signed=signed).data[0]
        assert trace.zmin < trace.zmax


def test_a_layer_that_is_not_there_starts_at_the_last() -> None:
    assert _build(MapPanel("a", _values()), first=99).layout.sliders[0].active == 2


def test_tokens_without_a_place_are_a_line_each_dotted_for_the_second_network() -> None:
    values = np.arange(15.0).reshape(3, 5)
    figure: Any = build_prefix_curves([values, -values], ["a", "b"], LAYERS, value_label="x")
    assert len(figure.data) == 10
    np.testing.assert_allclose(figure.data[3].y, values[:, 3])
    assert figure.data[3].name == "register 2, a"
    assert figure.data[3].line.color == figure.data[8].line.color
    assert {trace.line.dash for trace in figure.data[5:]} == {"dot"}
