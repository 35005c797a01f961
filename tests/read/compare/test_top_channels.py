"""Top channels of two payloads, against each ranked alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.errors import PayloadError
from analysis.payload.table import StatsTable
from analysis.read.compare.overlap import rank_biased_overlap
from analysis.read.compare.top_channels import (
    compare_top_channels,
    jaccard_over_depth,
    rank_biased_over_depth,
)
from analysis.read.outliers import Score, rank_channels
from analysis.vocabulary import Cell, Representation, TokenRole, list_cells
from tests.factories.payloads import make_flat_table, make_table

PRE, PATCH = Representation.PRE, TokenRole.PATCH
CELL = Cell(0, PRE, PATCH)


def _ranked(*max_abs: float) -> StatsTable:
    values = np.ones((1, 3, 2, 3, len(max_abs)))
    values[..., 2, :] = max_abs
    return make_flat_table(values)


def test_top_channels_are_new_gone_or_kept_with_their_ranks_in_both() -> None:
    a, b = _ranked(9, 8, 7, 1, 0), _ranked(9, 2, 7, 8, 20)
    top = compare_top_channels(a, b, CELL, k=3)
    frame = top.frame.set_index("channel")
    assert frame["status"].to_dict() == {0: "kept", 1: "gone", 2: "gone", 3: "new", 4: "new"}
    assert frame.index[0] == 4  # the largest of either comes first
    rows = frame.to_dict("index")
    assert (rows[1]["rank_a"], rows[1]["rank_b"]) == (2, 5)
    assert (rows[3]["max_abs_a"], rows[3]["max_abs_b"], rows[3]["ratio"]) == (1, 8, 8)
    assert math.isnan(frame["ratio"][4])
    assert top.jaccard == pytest.approx(1 / 5)


def test_top_channels_are_those_that_each_payload_ranks_alone() -> None:
    a, b = make_table(seed=1), make_table(seed=2)
    for score in Score:
        frame = compare_top_channels(a, b, Cell(2, PRE, PATCH), score, k=7).frame
        in_a = frame.loc[frame["status"] != "new", "channel"]
        in_b = frame.loc[frame["status"] != "gone", "channel"]
        for table, found in ((a, in_a), (b, in_b)):
            expected = rank_channels(table, 2, PRE, PATCH, score, k=7).frame["channel"]
            assert set(found) == set(expected)


def test_the_overlap_over_depth_is_that_of_each_cell() -> None:
    a, b = make_table(seed=1), make_table(seed=2)
    found = jaccard_over_depth(a, b, Score.MAX_ABS, k=9)
    for index, cell in list_cells(a.layers):
        top = compare_top_channels(a, b, cell, k=9)
        assert found[index] == pytest.approx(top.jaccard)
    assert (jaccard_over_depth(a, a) == 1).all()


def test_top_channels_of_other_backbones_are_refused() -> None:
    a, b = make_table(channels=48), make_table(channels=24)
    with pytest.raises(PayloadError, match="48 and 24 channels"):
        compare_top_channels(a, b, CELL)
    with pytest.raises(PayloadError, match="48 and 24 channels"):
        jaccard_over_depth(a, b)


def test_a_top_of_none_has_nothing_to_disagree_on() -> None:
    a, b = make_table(seed=1), make_table(seed=2)
    top = compare_top_channels(a, b, CELL, k=0)
    assert top.frame.empty
    assert top.jaccard == 1
    assert (jaccard_over_depth(a, b, k=0) == 1).all()


def test_rank_biased_overlap_over_depth_is_that_of_the_two_rankings() -> None:
    a, b = make_table(layers=3), make_table(layers=4, drift=5.0, seed=1)
    overlap = rank_biased_over_depth(a, b, Score.MAX_ABS, k=10)
    assert overlap.shape == (3, 3, 2)
    tops = [
        rank_channels(table, 1, PRE, PATCH, Score.MAX_ABS, k=10).frame["channel"].to_numpy()
        for table in (a, b)
    ]
    assert overlap[1, 0, 1] == pytest.approx(rank_biased_overlap(*tops))
    np.testing.assert_allclose(rank_biased_over_depth(a, a, k=10), 1.0)
