from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.errors import PayloadError
from analysis.payload.table import StatsTable
from analysis.read.compare.config_diff import config_diff
from analysis.read.compare.drift import (
    TINY_VARIANCE,
    Severity,
    compare_tables,
    compare_top_channels,
    compute_drift,
    have_same_images,
    jaccard_over_depth,
    rank_biased_over_depth,
)
from analysis.read.compare.overlap import rank_biased_overlap
from analysis.read.outliers import Score, rank_channels
from analysis.vocabulary import Representation, TokenRole
from tests.factories.payloads import make_flat_table, make_table

PRE, PATCH = Representation.PRE, TokenRole.PATCH


def _reference_drift(a: StatsTable, b: StatsTable, layer: int, i: int, j: int) -> float:
    total = 0.0
    for channel in range(a.channels):
        mean_a, std_a, _ = map(float, a.values[layer, i, j, :, channel])
        mean_b, std_b, _ = map(float, b.values[layer, i, j, :, channel])
        variance = max((std_a**2 + std_b**2) / 2, TINY_VARIANCE)
        total += ((mean_a - mean_b) ** 2 + (std_a - std_b) ** 2) / variance
    return math.sqrt(total / a.channels)


def test_drift_matches_its_formula_channel_by_channel() -> None:
    a, b = make_table(seed=1), make_table(seed=2)
    drift = compare_tables(a, b).drift
    assert drift is not None
    assert drift.shape == (4, 3, 2)
    for layer, i, j in np.ndindex(drift.shape):
        expected = _reference_drift(a, b, layer, i, j)
        assert drift[layer, i, j] == pytest.approx(expected, rel=1e-12)


def test_one_channel_moved_by_one_std_drifts_by_the_root_of_its_share() -> None:
    cell = np.stack([np.zeros(16), np.full(16, 2.0), np.full(16, 9.0)])
    moved = cell.copy()
    moved[0, 5] += 2.0
    assert compute_drift(cell, moved) == pytest.approx(math.sqrt(1 / 16))


def test_a_payload_does_not_drift_from_itself_and_drift_has_no_direction() -> None:
    a, b = make_table(seed=1).values, make_table(seed=2).values
    assert (compute_drift(a, a) == 0).all()
    np.testing.assert_array_equal(compute_drift(a, b), compute_drift(b, a))


def test_drift_grows_where_the_network_changed() -> None:
    drift = compare_tables(make_table(), make_table(drift=1.0)).drift
    assert drift is not None
    assert (np.diff(drift[:, 0, 1]) > 0).all()


def test_channels_that_never_move_keep_the_drift_finite() -> None:
    dead = np.zeros((3, 4))
    assert compute_drift(dead, dead) == 0
    assert np.isfinite(compute_drift(dead, dead + 1e-3))


def test_other_numbers_of_channels_have_no_drift_but_reasons() -> None:
    comparison = compare_tables(make_table(channels=48), make_table(channels=24))
    assert comparison.drift is None
    assert comparison.severity is Severity.RED
    assert comparison.reasons[0].severity is Severity.RED
    assert any(reason.topic == "channels" for reason in comparison.reasons)


def test_payloads_of_other_depth_are_compared_where_both_have_layers() -> None:
    a, b = make_table(layers=4), make_table(layers=2)
    comparison = compare_tables(a, b)
    assert comparison.layers.tolist() == [0, 1]
    assert comparison.drift is not None
    expected = compute_drift(a.values[:2], b.values)
    np.testing.assert_array_equal(comparison.drift, expected)


def _ranked(*max_abs: float) -> StatsTable:
    values = np.ones((1, 3, 2, 3, len(max_abs)))
    values[..., 2, :] = max_abs
    return make_flat_table(values)


def test_top_channels_are_new_gone_or_kept_with_their_ranks_in_both() -> None:
    a, b = _ranked(9, 8, 7, 1, 0), _ranked(9, 2, 7, 8, 20)
    top = compare_top_channels(a, b, 0, PRE, PATCH, k=3)
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
        frame = compare_top_channels(a, b, 2, PRE, PATCH, score, k=7).frame
        in_a = frame.loc[frame["status"] != "new", "channel"]
        in_b = frame.loc[frame["status"] != "gone", "channel"]
        for table, found in ((a, in_a), (b, in_b)):
            expected = rank_channels(table, 2, PRE, PATCH, score, k=7).frame["channel"]
            assert set(found) == set(expected)


def test_the_overlap_over_depth_is_that_of_each_cell() -> None:
    a, b = make_table(seed=1), make_table(seed=2)
    found = jaccard_over_depth(a, b, Score.MAX_ABS, k=9)
    for layer in range(4):
        for i, representation in enumerate(Representation):
            for j, role in enumerate(TokenRole):
                top = compare_top_channels(a, b, layer, representation, role, k=9)
                assert found[layer, i, j] == pytest.approx(top.jaccard)
    assert (jaccard_over_depth(a, a) == 1).all()


def test_top_channels_of_other_backbones_are_refused() -> None:
    a, b = make_table(channels=48), make_table(channels=24)
    with pytest.raises(PayloadError, match="48 and 24 channels"):
        compare_top_channels(a, b, 0, PRE, PATCH)
    with pytest.raises(PayloadError, match="48 and 24 channels"):
        jaccard_over_depth(a, b)


def test_a_top_of_none_has_nothing_to_disagree_on() -> None:
    a, b = make_table(seed=1), make_table(seed=2)
    top = compare_top_channels(a, b, 0, PRE, PATCH, k=0)
    assert top.frame.empty
    assert top.jaccard == 1
    assert (jaccard_over_depth(a, b, k=0) == 1).all()


def test_one_channel_of_one_layer_can_be_compared() -> None:
    table = make_table(layers=1, channels=1, images=1)
    assert compare_tables(table, table).drift is not None
    assert compare_top_channels(table, table, 0, PRE, PATCH).jaccard == 1


def test_a_config_diff_lists_changed_added_and_removed_settings_only() -> None:
    a = {"version": "v1", "optim": {"lr": 0.1, "wd": 0}, "peft": {"r": 8, "targets": ["a"]}}
    b = {"version": "v1", "optim": {"lr": 0.2}, "peft": {"r": 8, "targets": ["a", "b"]}, "x": None}
    rows = {row["key"]: row.to_dict() for _, row in config_diff(a, b).iterrows()}
    assert rows == {
        "optim.lr": {"key": "optim.lr", "a": "0.1", "b": "0.2", "status": "changed"},
        "optim.wd": {"key": "optim.wd", "a": "0", "b": "", "status": "only in A"},
        "peft.targets": {
            "key": "peft.targets",
            "a": "['a']",
            "b": "['a', 'b']",
            "status": "changed",
        },
        "x": {"key": "x", "a": "", "b": "None", "status": "only in B"},
    }


def test_a_config_diff_tells_true_from_one_and_a_mapping_from_nothing() -> None:
    diff = config_diff({"a": True, "b": {}, "c": {"d": 1}}, {"a": 1, "b": None, "c": 1})
    assert diff["key"].tolist() == ["a", "b", "c", "c.d"]


def test_a_config_diff_puts_model_and_adapter_before_the_rest() -> None:
    a = {"aug": 1, "data": {"x": 1}, "model": {"m": 1}, "version": 1, "peft": {"r": 1}}
    keys = config_diff(a, {})["key"].tolist()
    assert keys == ["version", "model.m", "peft.r", "data.x", "aug"]


def test_equal_configs_have_an_empty_diff_with_its_columns() -> None:
    diff = config_diff({"a": {"b": 1}}, {"a": {"b": 1}})
    assert diff.empty
    assert diff.columns.tolist() == ["key", "a", "b", "status"]


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


def test_a_channel_of_another_backbone_is_another_channel() -> None:
    comparison = compare_tables(make_table(), make_table(backbone="dinov3_vits16"))
    assert comparison.drift is None
    assert comparison.severity is Severity.RED


def test_images_are_the_same_only_where_both_say_so() -> None:
    recorded, silent = make_table(), make_table(recorded=False)
    assert have_same_images(recorded, make_table(seed=1))
    assert not have_same_images(recorded, make_table(dataset_fingerprint="other"))
    assert not have_same_images(recorded, silent)
    assert not have_same_images(silent, silent)
