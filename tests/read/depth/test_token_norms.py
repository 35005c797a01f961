from __future__ import annotations

import numpy as np

from analysis.payload.extras import NORM_EDGES
from analysis.read.depth.token_norms import count_beyond, find_norm_quantiles, tabulate_norms


def test_a_quantile_is_that_of_the_norms_within_a_bin() -> None:
    norms = np.random.default_rng(0).lognormal(3, 0.7, 20_000)
    bins = np.searchsorted(NORM_EDGES, norms, side="right")
    counts = np.bincount(bins, minlength=66)[None]
    found = find_norm_quantiles(counts, (0.01, 0.5, 0.99))[0]
    width = NORM_EDGES[1] / NORM_EDGES[0]
    ratio = found / np.quantile(norms, [0.01, 0.5, 0.99])
    assert (ratio < width).all()
    assert (ratio > 1 / width).all()
    assert abs(np.log(ratio[1])) < 0.02  # where tokens are many, far less


def test_tokens_of_one_bin_have_all_quantiles_in_it() -> None:
    counts = np.zeros((1, 66), dtype=np.int64)
    counts[0, 31] = 7
    low, high = NORM_EDGES[30], NORM_EDGES[31]
    found = find_norm_quantiles(counts, (0.0, 0.5, 1.0))[0]
    np.testing.assert_allclose(found, [low, np.sqrt(low * high), high])


def test_norms_beyond_the_bins_are_counted_and_stand_at_the_edge() -> None:
    counts = np.zeros((2, 66), dtype=np.int64)
    counts[0, 0], counts[0, 65] = 3, 2
    assert count_beyond(counts) == 5
    found = find_norm_quantiles(counts, (0.1, 0.9))
    assert found[0, 0] <= NORM_EDGES[1]
    assert found[0, 1] >= NORM_EDGES[-2]
    assert np.isnan(found[1]).all()  # a layer without tokens has no norm


def test_the_table_lists_the_bins_that_hold_tokens() -> None:
    counts = np.zeros((2, 66), dtype=np.int64)
    counts[1, 1], counts[1, 65] = 4, 1
    frame = tabulate_norms(np.array([0, 1]), {"cls": counts})
    assert frame["tokens"].tolist() == [4, 1]
    assert frame["from"].tolist() == [NORM_EDGES[0], NORM_EDGES[-1]]
    assert frame["to"].tolist() == [NORM_EDGES[1], np.inf]
