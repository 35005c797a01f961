from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.show.figures import theme
from analysis.show.figures.noise import (
    SMALLEST_RANGE,
    ChannelEffect,
    build_channel_effects,
    build_flagged_curves,
)
from analysis.show.figures.versions import build_drift_curves, build_jaccard_curves
from analysis.vocabulary import Representation
from tests.show.figures.reading import assert_lean, layout, named, names, notes, title, traces

VALUE = np.array([0.5, -0.1, 0.0, 2.0])
ERROR = np.array([0.1, 0.1, 0.1, 0.2])
FLAGGED = np.array([True, False, False, True])
UNKNOWN = np.full(4, np.nan)
PRE = Representation.PRE


def _effect(factor: float = 1.0, **changes: Any) -> ChannelEffect:
    effect = ChannelEffect(factor * VALUE, ERROR, FLAGGED, "shift")
    return replace(effect, **changes)


def _untested(value: NDArray[np.float64]) -> ChannelEffect:
    return _effect(value=value, error=UNKNOWN, flagged=np.zeros(4, bool))


def test_colour_follows_size_and_marks_follow_significance() -> None:
    ratio = _effect(value=-VALUE, flagged=~FLAGGED, label="log ratio")
    figure = build_channel_effects(
        _effect(), ratio, representation=PRE, negligible=0.01, mode="dark"
    )
    assert names(figure) == [
        "within the noise, negligible (2)",
        "within the noise (2)",
        "beyond the noise, negligible (2)",
        "beyond the noise (2)",
        "beyond the noise (0)",
    ]
    quiet, within, below, loud, _ = traces(figure)
    coloured, grey = theme.representation_color(PRE, "dark"), theme.muted_color("dark")
    looks = [(trace.marker.color, trace.marker.symbol) for trace in (quiet, within, below, loud)]
    assert looks == [
        (grey, "circle-open"),
        (coloured, "circle-open"),
        (grey, "circle"),
        (coloured, "circle"),
    ]
    assert loud.x.tolist() == [0, 3]
    np.testing.assert_allclose(loud.y, [0.5, 2.0])
    np.testing.assert_allclose(loud.customdata, [[0, 0.5, 0.1], [3, 2.0, 0.2]], rtol=1e-6)
    assert quiet.x.tolist() == [1, 2]
    assert below.x.tolist() == [1, 2]
    np.testing.assert_allclose(below.y, [0.1, 0.0], rtol=1e-6)
    assert [title(layout(figure).yaxis), title(layout(figure).yaxis2)] == ["shift", "log ratio"]
    assert_lean(figure)


def test_of_many_quiet_channels_the_range_is_drawn_and_all_lie_in_it() -> None:
    rng = np.random.default_rng(0)
    flagged = np.arange(2001) % 500 == 3
    flagged[1000:1030] = True  # runs without a quiet channel
    effect = ChannelEffect(rng.normal(size=2001), np.full(2001, 0.1), flagged, "shift")
    quiet, _, loud, _ = traces(build_channel_effects(effect, effect, representation=PRE))
    assert {quiet.type, loud.type} == {"scatter"}
    assert (quiet.mode, loud.mode) == ("lines", "markers")
    assert loud.x.tolist() == np.flatnonzero(flagged).tolist()
    low, high, gap = quiet.y.reshape(-1, 3).T
    assert np.isnan(gap).all()  # no stroke leads to the next
    first, last = quiet.customdata.reshape(-1, 3, 4)[:, 0, :2].astype(int).T
    assert len(first) <= 256
    seen = 0
    for run in range(len(first)):
        channels = np.arange(first[run], last[run] + 1)
        values = effect.value[channels[~flagged[channels]]]
        seen += len(values)
        np.testing.assert_allclose([low[run], high[run]], [values.min(), values.max()], rtol=1e-6)
        assert first[run] <= quiet.x[3 * run : 3 * run + 2].mean() <= last[run]
    assert seen == np.count_nonzero(~flagged)


def test_each_effect_has_a_panel_with_its_own_legend_over_the_same_channels() -> None:
    figure = build_channel_effects(_effect(), _effect(), representation=PRE)
    places = [(trace.xaxis, trace.yaxis, trace.legend) for trace in traces(figure)]
    assert places == [("x", "y", "legend"), ("x2", "y2", "legend2")] * 2
    assert layout(figure).xaxis.matches == "x2"  # zooming into channels zooms both
    assert layout(figure).yaxis2.domain[1] < layout(figure).yaxis.domain[0]
    assert (
        layout(figure).yaxis2.domain[1] < layout(figure).legend2.y < layout(figure).yaxis.domain[0]
    )


def test_without_noise_nothing_is_coloured_and_nothing_called_quiet() -> None:
    figure = build_channel_effects(_untested(VALUE), _untested(UNKNOWN), representation=PRE)
    assert names(figure) == ["not tested (4)"]
    assert traces(figure)[0].marker.color == theme.muted_color("light")


def test_rounding_is_not_blown_up_to_look_like_a_difference() -> None:
    figure = build_channel_effects(_effect(1e-9), _effect(), representation=PRE)
    assert layout(figure).yaxis.range == (-SMALLEST_RANGE, SMALLEST_RANGE)
    assert layout(figure).yaxis2.range is None


def test_effects_that_nobody_knows_say_so() -> None:
    figure = build_channel_effects(_untested(UNKNOWN), _untested(UNKNOWN), representation=PRE)
    assert notes(figure) == ["There is no difference to draw."]


def test_the_share_of_flagged_channels_is_drawn_in_percent() -> None:
    share = np.arange(24).reshape(4, 3, 2) / 24
    figure = build_flagged_curves(np.arange(4), share)
    np.testing.assert_allclose(
        named(figure, "block output, patch").y, 100 * share[:, 0, 1], rtol=1e-6
    )
    assert "%" in title(layout(figure).yaxis)
    assert_lean(figure)


def test_nothing_tested_is_not_drawn_as_zero_channels() -> None:
    figure = build_flagged_curves(np.arange(4), np.full((4, 3, 2), np.nan))
    assert notes(figure) == ["Nothing was tested against noise."]


def test_hollow_marks_do_not_exceed_the_noise_and_grey_ones_are_negligible() -> None:
    drift, beyond = np.ones((3, 3, 2)), np.zeros((3, 3, 2), dtype=bool)
    beyond[1, 0, 1] = True
    coloured = np.ones((3, 3, 2), dtype=bool)
    coloured[1:, 0, 1] = False
    figure = build_drift_curves(np.arange(3), drift, noise=drift, beyond=beyond, coloured=coloured)
    marker = named(figure, "block output, patch").marker
    assert marker.symbol.tolist() == ["circle-open", "circle", "circle-open"]
    own, grey = theme.representation_color(PRE, "light"), theme.muted_color("light")
    assert marker.color.tolist() == [own, grey, grey]
    assert_lean(figure)


def test_a_noise_that_is_not_known_is_not_drawn() -> None:
    drift = np.ones((3, 3, 2))
    figure = build_drift_curves(np.arange(3), drift, noise=np.full((3, 3, 2), np.nan))
    assert len(traces(figure)) == 6


def test_an_overlap_stands_beside_what_it_is_without_a_change() -> None:
    overlap = np.full((3, 3, 2), 0.5)
    figure = build_jaccard_curves(np.arange(3), overlap, k=20, by_chance=overlap + 0.25)
    beside = named(figure, "block output, patch: without a change")
    np.testing.assert_allclose(beside.y, 0.75)
    assert beside.line.width < named(figure, "block output, patch").line.width
