"""Layers against layers, spectra, ranked images and their map: every value where it belongs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.show.figures import theme
from analysis.show.figures.head_layers import build_head_layers
from analysis.show.figures.similarity import (
    MOST_LABELS,
    UNKNOWN,
    LayerPanel,
    build_layer_panels,
    build_plane,
    build_ranked,
    build_spectrum,
)
from tests.show.figures.reading import layout

POINTS = np.arange(12.0).reshape(6, 2)
SHARES = np.array([0.7, 0.2])
IMAGES = np.array([0, 2, 4, 6, 8, 10])


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_a_panel_has_a_up_and_b_to_the_right_in_one_scale(mode: theme.Mode) -> None:
    values = np.linspace(0, 1, 6).reshape(2, 3)
    panels = [LayerPanel("CKA", values, values / 10), LayerPanel("<b>", values)]
    figure: Any = build_layer_panels(panels, (np.arange(2), np.arange(3)), ("a", "<i>"), mode)
    first, second = figure.data
    assert (first.z.shape, len(first.y), len(first.x)) == ((2, 3), 2, 3)
    np.testing.assert_allclose(first.customdata, values / 10, rtol=1e-6)
    assert (first.zmin, first.zmax) == (second.zmin, second.zmax) == (0, 1)
    assert [first.showscale, second.showscale] == [False, True]
    assert layout(figure).yaxis.title.text == "layer of a"
    assert layout(figure).xaxis.title.text == "layer of &lt;i&gt;"
    assert layout(figure).annotations[1].text == "&lt;b&gt;"


def test_one_layer_is_a_panel_of_one_cell() -> None:
    panels = [LayerPanel("CKA", np.ones((1, 1)), np.zeros((1, 1)))]
    figure: Any = build_layer_panels(panels, (np.array([3]), np.array([3])), ("a", "a"))
    assert figure.data[0].z.tolist() == [[1]]


def test_a_number_colours_the_points_and_an_unknown_one_is_hollow() -> None:
    values = np.array([1.0, 2, np.nan, 4, 5, 6])
    figure: Any = build_plane(POINTS, SHARES, IMAGES, ("Mass", values))
    unknown, known = figure.data
    assert unknown.name == UNKNOWN
    assert unknown.customdata.ravel().tolist() == [4]
    assert known.marker.color.tolist() == [1, 2, 4, 5, 6]
    assert known.customdata.ravel().tolist() == [0, 2, 6, 8, 10]
    assert layout(figure).xaxis.title.text == "component 1 (70% of the variance)"


def test_many_labels_share_one_muted_colour() -> None:
    labels = np.array([f"s{n}" for n in range(14)] + [""])
    points = np.zeros((15, 2))
    figure: Any = build_plane(points, SHARES, np.arange(15), ("State", labels))
    names = [trace.name for trace in figure.data]
    assert len(names) == MOST_LABELS + 1
    assert names[-2:] == ["5 others", UNKNOWN]
    assert sum(len(trace.x) for trace in figure.data) == 15
    colors = [trace.marker.color for trace in figure.data[: MOST_LABELS - 1]]
    assert len(set(colors)) == MOST_LABELS - 1


def test_the_first_images_are_picked_out_and_lead_to_their_number() -> None:
    figure: Any = build_ranked(np.array([3.0, 2, 1]), np.array([7, 5, 9]), "moved", 1, "light")
    others, first = figure.data
    assert first.customdata.ravel().tolist() == [7]
    assert others.customdata.ravel().tolist() == [5, 9]
    assert others.x.tolist() == [2, 3]


def test_a_spectrum_leaves_out_what_a_logarithm_has_no_place_for() -> None:
    figure: Any = build_spectrum({"all": np.array([0.9, 0.1, 0.0])})
    assert figure.data[0].x.tolist() == [1, 2, 3]
    assert np.isnan(figure.data[0].y).tolist() == [False, False, True]


def test_the_bars_of_a_head_stand_at_its_layers_beside_even_weights() -> None:
    figure: Any = build_head_layers(
        np.array([2, 5]), {"weight": np.array([0.2, 0.8])}, label="layer", even=0.5
    )
    assert list(figure.data[0].x) == ["2", "5"]
    assert layout(figure).shapes[0].y0 == 0.5
