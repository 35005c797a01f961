from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.show.figures import theme
from analysis.show.figures.footprints import build_footprint_map, build_footprint_multiples
from tests.show.figures.reading import layout

GRID = (3, 5)


def _map(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1, 9, GRID)


def _drawn(axis: Any, other: Any) -> None:
    assert tuple(axis.range) == (GRID[0] - 0.5, -0.5)  # row 0 is the top one
    assert tuple(other.range) == (-0.5, GRID[1] - 0.5)


def test_the_map_of_a_channel_is_its_values_on_square_patches() -> None:
    values = _map()
    values[1, 2] = np.nan
    figure: Any = build_footprint_map(values, value_label="mean |x|, units")
    (trace,) = figure.data
    np.testing.assert_allclose(trace.z, values, rtol=1e-6)
    assert trace.colorbar.title.text == "mean |x|, units"
    assert (layout(figure).xaxis.title.text, layout(figure).yaxis.title.text) == (
        "patch column",
        "patch row",
    )
    assert layout(figure).yaxis.scaleanchor == "x"
    _drawn(layout(figure).yaxis, layout(figure).xaxis)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_scale_is_that_of_a_magnitude(mode: theme.Mode) -> None:
    figure: Any = build_footprint_map(_map(), value_label="x", mode=mode)
    (trace,) = figure.data
    assert [list(stop) for stop in trace.colorscale] == theme.magnitude_scale(mode)


def test_a_map_without_a_counted_patch_says_so() -> None:
    figure: Any = build_footprint_map(np.full(GRID, np.nan), value_label="x")
    assert layout(figure).annotations[0].text == "No patch was counted."


def test_small_maps_are_in_units_of_their_own_largest_patch_and_keep_the_values() -> None:
    maps = np.stack([_map(0), 1000 * _map(1), np.zeros(GRID), np.full(GRID, np.nan), _map(4)])
    channels = np.array([4, 70, 3, 9, 1])
    figure: Any = build_footprint_multiples(channels, maps, selected=70)
    assert len(figure.data) == 5
    for trace, one in zip(figure.data, maps, strict=True):
        np.testing.assert_allclose(trace.customdata[..., 0], one, rtol=1e-6)
    for place in (0, 1, 4):
        assert figure.data[place].z.max() == pytest.approx(1)
    assert (figure.data[2].z == 0).all()
    titles = [annotation.text for annotation in layout(figure).annotations]
    assert titles[1].startswith("<b>channel 70</b><br>")
    assert [title.startswith("<b>") for title in titles].count(True) == 1
    for number in ("", "2", "3", "4", "5"):
        assert layout(figure)[f"yaxis{number}"].scaleanchor == f"x{number}"
        _drawn(layout(figure)[f"yaxis{number}"], layout(figure)[f"xaxis{number}"])


def test_one_channel_is_a_figure_too() -> None:
    figure: Any = build_footprint_multiples(np.array([4]), _map()[None])
    assert len(figure.data) == 1
