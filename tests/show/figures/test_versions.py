from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.show.figures import theme
from analysis.show.figures.versions import (
    build_channel_comparison,
    build_drift_curves,
    build_jaccard_curves,
    build_top_changes,
)
from analysis.vocabulary import Representation, TokenRole
from tests.show.figures.reading import assert_lean, layout, named, names, notes, title, traces

LAYERS = np.arange(4)
DRIFT = np.arange(24, dtype=np.float64).reshape(4, 3, 2)
NAMES = ("left", "right")


def test_drift_has_a_line_per_representation_and_role() -> None:
    figure = build_drift_curves(LAYERS, DRIFT)
    assert len(names(figure)) == 6
    line = named(figure, "global LN, CLS")
    np.testing.assert_array_equal(line.y, DRIFT[:, 2, 0])
    assert line.line.color == theme.representation_color(Representation.GLOBAL_LN, "light")
    assert line.line.dash == theme.role_dash(TokenRole.CLS)
    assert title(layout(figure).yaxis) == "drift standard deviations, rms over channels"
    assert title(layout(figure).xaxis) == "layer (block index)"
    assert_lean(figure)


def test_only_what_was_chosen_is_drawn() -> None:
    figure = build_drift_curves(
        LAYERS, DRIFT, representations=[Representation.PER_LAYER_LN], roles=[TokenRole.PATCH]
    )
    assert names(figure) == ["per-layer LN, patch"]
    np.testing.assert_array_equal(traces(figure)[0].y, DRIFT[:, 1, 1])


def test_the_noise_is_drawn_beside_each_line_in_its_colour() -> None:
    figure = build_drift_curves(LAYERS, DRIFT, noise=DRIFT / 10)
    line, noise = named(figure, "block output, patch"), named(figure, "block output, patch: noise")
    np.testing.assert_allclose(noise.y, DRIFT[:, 0, 1] / 10, rtol=1e-6)
    assert noise.line.color == line.line.color
    assert noise.line.width < line.line.width
    assert noise.legendgroup == line.legendgroup
    assert not noise.showlegend


@pytest.mark.parametrize("log", [True, False])
def test_drift_can_be_drawn_on_a_logarithmic_axis(log: bool) -> None:
    figure = build_drift_curves(LAYERS, DRIFT, log=log)
    assert layout(figure).yaxis.type == ("log" if log else None)


def test_the_overlap_is_drawn_from_zero_to_one() -> None:
    figure = build_jaccard_curves(LAYERS, DRIFT / 24, k=20)
    assert title(layout(figure).yaxis) == "overlap of the top 20 channels Jaccard, 0 to 1"
    low, high = layout(figure).yaxis.range
    assert low <= 0 < 1 <= high


def test_versions_without_a_common_layer_say_so() -> None:
    none = np.array([], dtype=np.int64)
    for figure in (
        build_drift_curves(none, np.zeros((0, 3, 2)), log=True),
        build_jaccard_curves(none, np.zeros((0, 3, 2)), k=5),
        build_drift_curves(LAYERS, DRIFT, roles=[]),
    ):
        assert "share no layer" in notes(figure)[0]


def test_one_layer_is_drawn_as_points() -> None:
    figure = build_drift_curves(LAYERS[:1], DRIFT[:1])
    assert "markers" in traces(figure)[0].mode
    assert layout(figure).xaxis.range == (-0.5, 0.5)


def test_channels_are_drawn_one_version_against_the_other_with_the_identity() -> None:
    a, b = np.array([1.0, 10.0, 100.0, 5.0]), np.array([2.0, 10.0, 0.0, 500.0])
    figure = build_channel_comparison(
        a,
        b,
        names=NAMES,
        value_label="max |x|",
        status={"kept": np.array([1]), "new": np.array([3]), "gone": np.array([2])},
    )
    assert names(figure) == [
        "no change",
        "other channels (1)",
        "in both (1)",
        "new (1)",
        "gone (1)",
    ]
    identity = named(figure, "no change")
    np.testing.assert_array_equal(identity.x, identity.y)
    new = named(figure, "new (1)")
    assert (new.x.tolist(), new.y.tolist()) == ([5], [500])
    gone = named(figure, "gone (1)")
    assert 0 < gone.y[0] < 1  # 0 has no place on the axis
    assert gone.customdata[0].tolist() == [2, 100, 0]  # but the hover tells it
    assert title(layout(figure).xaxis) == "left: max |x|"
    assert title(layout(figure).yaxis) == "right: max |x|"
    assert layout(figure).xaxis.range == layout(figure).yaxis.range
    assert layout(figure).xaxis.type == layout(figure).yaxis.type == "log"
    assert_lean(figure)


def test_new_and_gone_differ_by_shape_and_take_the_colour_of_their_version() -> None:
    figure = build_channel_comparison(
        np.ones(2),
        np.ones(2),
        names=NAMES,
        value_label="x",
        status={"new": np.array([0]), "gone": np.array([1])},
    )
    new, gone = named(figure, "new (1)"), named(figure, "gone (1)")
    assert new.marker.symbol != gone.marker.symbol
    assert gone.marker.color == theme.version_color(0, "light")
    assert new.marker.color == theme.version_color(1, "light")


def test_unmarked_channels_are_all_drawn() -> None:
    figure = build_channel_comparison(np.ones(3), np.ones(3), names=NAMES, value_label="x")
    assert names(figure) == ["no change", "other channels (3)"]


def test_channels_that_are_all_zero_are_said_to_be() -> None:
    figure = build_channel_comparison(np.zeros(3), np.zeros(3), names=NAMES, value_label="x")
    assert "no channel above 0" in notes(figure)[0]


def _frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "channel": np.array([7, 3], dtype=np.int32),
            "status": ["new", "kept"],
            "rank_a": [9, 1],
            "rank_b": [1, 2],
            "max_abs_a": [1.0, 20.0],
            "max_abs_b": [50.0, 30.0],
        }
    )


def test_changed_channels_are_lines_from_one_version_to_the_other() -> None:
    figure = build_top_changes(_frame(), names=NAMES, value_label="max |x| (unit)")
    assert names(figure) == ["left", "right"]
    np.testing.assert_array_equal(named(figure, "left").x, [1, 20])
    np.testing.assert_array_equal(named(figure, "right").x, [50, 30])
    assert named(figure, "right").customdata[0].tolist() == [7, 9, 1]
    assert layout(figure).yaxis.ticktext.tolist() == ["7 (new)", "3"]
    lines = traces(figure)[0]
    np.testing.assert_array_equal(lines.x[[0, 1, 3, 4]], [1, 50, 20, 30])
    np.testing.assert_array_equal(lines.y, [0, 0, 0, 1, 1, 1])
    assert np.isnan(lines.x[2])
    assert title(layout(figure).xaxis) == "max |x| (unit)"
    assert_lean(figure)


def test_no_changed_channels_are_said() -> None:
    figure = build_top_changes(_frame()[:0], names=NAMES, value_label="x")
    assert "No channel to draw" in notes(figure)[0]
