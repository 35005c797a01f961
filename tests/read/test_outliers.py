from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from analysis.payload.table import StatsTable
from analysis.read.outliers import (
    Score,
    count_outliers,
    find_neighbours,
    find_persistent,
    map_channels,
    rank_channel,
    rank_channels,
    rank_over_depth,
    score_channels,
)
from analysis.vocabulary import Representation, TokenRole
from tests.factories.payloads import make_flat_table, make_table

PRE, PATCH = Representation.PRE, TokenRole.PATCH


def _cell(max_abs: Any, mean: Any = 0.0, std: Any = 1.0) -> NDArray[np.float64]:
    max_abs = np.asarray(max_abs, dtype=np.float64)
    return np.stack(
        [np.broadcast_to(mean, max_abs.shape), np.broadcast_to(std, max_abs.shape), max_abs]
    )


def _table(max_abs: Any) -> StatsTable:
    """Return a table whose every cell of a layer has the given maxima, ``[layers, channels]``."""
    max_abs = np.asarray(max_abs, dtype=np.float64)
    cells = np.stack([_cell(row) for row in max_abs])
    return make_flat_table(
        np.broadcast_to(cells[:, None, None], (len(cells), 3, 2, *cells.shape[1:]))
    )


def _lognormal(seed: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).lognormal(0, 0.5, shape)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
        elements=st.sampled_from([0.0, 1e-45, 1e-20, 1.0, 1.5, 3e38]),
    ),
    st.integers(0, 15),
)
def test_no_numbers_make_a_score_that_is_not_one(max_abs: NDArray[np.float32], k: int) -> None:
    layers, channels = max_abs.shape
    values = np.zeros((layers, 3, 2, 3, channels), dtype=np.float32)
    values[...] = np.stack([-max_abs, max_abs / 2, max_abs], axis=1)[:, None, None]
    table = make_flat_table(values)
    for score in Score:
        ranking = rank_channels(table, layers - 1, PRE, PATCH, score, k)
        assert np.isfinite(ranking.scores).all()
        assert len(ranking.frame) == min(k, channels)
        assert np.isfinite(ranking.frame.select_dtypes("number").to_numpy(np.float64)).all()
        persistent = find_persistent(table, PRE, PATCH, score, k)
        assert persistent["share"].between(0, 1).all()
        assert count_outliers(table, score).shape == (layers, 3, 2)


def test_a_ranking_lists_the_largest_first_with_their_statistics() -> None:
    table = make_table(channels=48, outliers={5: 300.0, 9: 60.0})
    ranking = rank_channels(table, 3, PRE, PATCH, Score.MAX_ABS, k=3)
    frame = ranking.frame
    assert frame["rank"].tolist() == [1, 2, 3]
    assert frame["channel"].tolist()[:2] == [5, 9]
    mean, std, max_abs = table.values[3, 0, 1][:, 5]
    first = frame.to_dict("records")[0]
    assert (first["mean"], first["std"], first["max_abs"]) == (mean, std, max_abs)
    assert first["score"] == max_abs
    assert frame["outlier"].tolist() == [True, True, False]
    assert frame["flags"].tolist() == ["outlier", "outlier", ""]


def test_the_number_of_outliers_does_not_depend_on_how_many_are_listed() -> None:
    values = np.full(200, 1.0) + np.linspace(0, 0.1, 200)
    values[:60] = 50.0
    for k in (0, 5, 20, 500):
        ranking = rank_channels(_table(values[None]), 0, PRE, PATCH, Score.ROBUST, k)
        assert ranking.outlier_count == 60
        assert len(ranking.frame) == min(k, 200)


def test_large_negative_means_rank_like_large_positive_ones() -> None:
    values = np.zeros((1, 3, 2, 3, 4))
    values[:, :, :, 1:] = 10.0
    values[..., 0, :] = [1.0, -9.0, 5.0, 0.0]
    frame = rank_channels(make_flat_table(values), 0, PRE, PATCH, Score.MEAN_OVER_STD).frame
    assert frame["channel"].tolist() == [1, 2, 0, 3]


def test_equal_channels_rank_by_number() -> None:
    frame = rank_channels(_table([[1.0, 3.0, 3.0, 2.0, 3.0]]), 0, PRE, PATCH, k=4).frame
    assert frame["channel"].tolist() == [1, 2, 4, 3]


def test_a_threshold_of_ones_own_is_in_robust_units_also_for_size() -> None:
    table = _table(_lognormal(3, 1, 400))
    by_size = rank_channels(table, 0, PRE, PATCH, Score.MAX_ABS, threshold=2.0)
    robust = rank_channels(table, 0, PRE, PATCH, Score.ROBUST, threshold=2.0)
    np.testing.assert_array_equal(by_size.outlier_mask, robust.outlier_mask)
    assert 0 < robust.outlier_count < 400
    assert by_size.threshold == pytest.approx(by_size.scores[by_size.outlier_mask].min(), rel=0.1)
    assert robust.threshold == 2.0


def test_ranks_over_depth_are_those_of_each_layer() -> None:
    table = make_table()
    ranks = rank_over_depth(table, PRE, PATCH, Score.MAX_ABS)
    for layer in range(4):
        frame = rank_channels(table, layer, PRE, PATCH, Score.MAX_ABS, k=48).frame
        assert ranks[layer, frame["channel"]].tolist() == list(range(1, 49))


def test_outliers_are_counted_in_every_cell_also_where_there_are_none() -> None:
    counts = count_outliers(_table([[1, 1.1, 1.2, 1.3], [1, 1.1, 1.2, 90.0]]), Score.ROBUST)
    assert counts.shape == (2, 3, 2)
    assert counts[:, 0, 0].tolist() == [0, 1]
    table = make_table()
    counts = count_outliers(table, Score.MAX_ABS)
    ranking = rank_channels(table, 2, Representation.GLOBAL_LN, TokenRole.CLS)
    assert counts[2, 2, 0] == ranking.outlier_count


QUIET = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6]


def _course(*large: int, layers: int = 6) -> StatsTable:
    """Return a table in which channel 7 is an outlier in the given layers only."""
    return _table([[*QUIET, 90.0 if layer in large else 1.25] for layer in range(layers)])


@pytest.mark.parametrize(
    ("large", "emergence", "last"),
    [
        pytest.param((2, 3, 4, 5), 2, 5, id="to-the-end"),
        pytest.param((0, 2, 3), 2, 3, id="flicker-before"),
        pytest.param((1, 2, 4, 5), 1, 5, id="first-of-equal-runs"),
        pytest.param((5,), 5, 5, id="last-layer"),
        pytest.param((0, 1, 2, 3, 4, 5), 0, 5, id="always"),
    ],
)
def test_a_channel_emerges_where_its_longest_run_as_an_outlier_begins(
    large: tuple[int, ...], emergence: int, last: int
) -> None:
    frame = find_persistent(_course(*large), PRE, PATCH, Score.ROBUST, k=1)
    row = next(row for row in frame.to_dict("records") if row["channel"] == 7)
    assert row["emergence_layer"] == emergence
    assert row["last_layer"] == last
    assert row["layers_in_top"] == row["layers_outlier"] == len(large)
    assert row["share"] == len(large) / 6
    assert row["peak"] == 90.0
    assert row["peak_layer"] == large[0]


def test_a_channel_that_never_is_an_outlier_does_not_emerge() -> None:
    frame = find_persistent(_course(), PRE, PATCH, Score.ROBUST, k=1)
    assert frame["channel"].tolist() == [6]
    assert frame["emergence_layer"].isna().all()
    assert frame["last_layer"].isna().all()


def test_persistence_matches_counting_by_hand() -> None:
    table = _table(_lognormal(5, 7, 40))
    frame = find_persistent(table, PRE, PATCH, Score.MAX_ABS, k=4).set_index("channel")
    expected: dict[int, int] = {}
    for layer in range(7):
        for channel in rank_channels(table, layer, PRE, PATCH, k=4).frame["channel"]:
            expected[channel] = expected.get(channel, 0) + 1
    assert frame["layers_in_top"].to_dict() == expected
    assert frame["layers_in_top"].is_monotonic_decreasing


def test_the_map_holds_the_course_of_the_most_persistent_channels() -> None:
    table = _table(_lognormal(6, 5, 40))
    whole = map_channels(table, PRE, PATCH, k=6)
    assert whole.total == len(whole.channels) > 10
    cut = map_channels(table, PRE, PATCH, k=6, max_rows=10)
    assert (cut.total, cut.values.shape) == (whole.total, (10, 5))
    np.testing.assert_array_equal(cut.channels, whole.channels[:10])
    np.testing.assert_array_equal(whole.values, table.values[:, 0, 1, 2, whole.channels].T)
    assert (whole.values.dtype, whole.channels.dtype) == (np.float32, np.int32)


def test_the_map_of_mean_over_std_shows_the_scores_of_all_channels() -> None:
    table = make_table(outliers={3: 300.0})
    chosen = map_channels(table, PRE, PATCH, Score.MEAN_OVER_STD, k=2)
    scores = score_channels(table.values[:, 0, 1], Score.MEAN_OVER_STD)
    np.testing.assert_allclose(chosen.values, scores[:, chosen.channels].T, rtol=1e-6)
    assert chosen.channels[0] == 3


@pytest.mark.parametrize("channel", [0, 24, 47])
def test_the_rank_of_one_channel_is_its_place_in_every_ranking(channel: int) -> None:
    table = make_table()
    ranks = rank_channel(table, channel)
    for i, representation in enumerate(Representation):
        for j, role in enumerate(TokenRole):
            expected = rank_over_depth(table, representation, role, Score.MAX_ABS)[:, channel]
            np.testing.assert_array_equal(ranks[:, i, j], expected)


def test_equal_channels_rank_by_their_number() -> None:
    table = make_flat_table(np.ones((1, 3, 2, 3, 4)))
    assert [int(rank_channel(table, channel)[0, 0, 0]) for channel in range(4)] == [1, 2, 3, 4]


def test_the_neighbours_are_those_next_in_the_ranking() -> None:
    table = make_table()
    ranking = rank_channels(table, 3, PRE, PATCH, k=48).frame["channel"].tolist()
    for place in (0, 20, 47):
        near = find_neighbours(table, 3, PRE, PATCH, ranking[place], reach=3)
        assert near["channel"].tolist() == ranking[max(place - 3, 0) : place + 4]
        assert near["rank"].tolist() == list(range(max(place - 3, 0) + 1, min(place + 4, 48) + 1))


def test_the_headroom_of_a_channel_is_in_the_ranking() -> None:
    values = np.ones((1, 3, 2, 3, 5))
    values[..., 2, :] = [2.0, 2.0, 2.0, 655.04, 0.0]
    frame = rank_channels(make_flat_table(values), 0, PRE, PATCH).frame
    assert frame["channel"].tolist() == [3, 0, 1, 2, 4]
    np.testing.assert_allclose(frame["fp16_headroom"][:2], [100, 65504 / 2], rtol=1e-5)
    np.testing.assert_allclose(frame["int8_levels"][:2], [255 * 2 / 655.04, 255], rtol=1e-5)
    assert np.isfinite(frame["fp16_headroom"]).all()  # a dead channel has room, not a hole
