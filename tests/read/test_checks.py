from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.payload.table import StatsTable, build_table
from analysis.read.checks import Check, run_checks
from tests.factories.payloads import make_payload, make_table

MEAN, STD, MAX_ABS = range(3)
PRE, PER_LAYER_LN, GLOBAL_LN = range(3)
CLS, PATCH = range(2)


def _outcomes(table: StatsTable) -> dict[str, Check]:
    return {check.name: check for check in run_checks(table)}


def _changed(change: Callable[[NDArray[np.float32]], Any]) -> StatsTable:
    table = make_table()
    values = table.values.copy()
    change(values)
    return replace(table, values=values)


def _failed(table: StatsTable) -> set[str]:
    return {check.name for check in run_checks(table) if check.ok is False}


def test_a_payload_that_was_measured_obeys_every_law() -> None:
    checks = run_checks(make_table())
    assert [check.ok for check in checks] == [True] * 10
    for check in checks:
        assert check.sentence.endswith(".")
        assert check.expectation


def _apply_gain(values: NDArray[np.float32]) -> None:
    values[:, PER_LAYER_LN] *= 1.01


def _shift(values: NDArray[np.float32]) -> None:
    values[2, PER_LAYER_LN, CLS, MEAN] += 0.002
    values[2, PER_LAYER_LN, CLS, MAX_ABS] += 0.002


def _swap_norms(values: NDArray[np.float32]) -> None:
    values[:, PER_LAYER_LN] = values[:, GLOBAL_LN]


def _invent_std(values: NDArray[np.float32]) -> None:
    values[1, PRE, PATCH, STD, 7] = values[1, PRE, PATCH, MAX_ABS, 7] * 1.1


def _shrink_maximum(values: NDArray[np.float32]) -> None:
    values[3, GLOBAL_LN, CLS, MAX_ABS, 24] = abs(values[3, GLOBAL_LN, CLS, MEAN, 24]) * 0.99


def _set_nan(values: NDArray[np.float32]) -> None:
    values[1, PRE, CLS, STD, 3] = np.nan


def _set_negative(values: NDArray[np.float32]) -> None:
    values[1, PRE, CLS, MAX_ABS, 3] = -1


def _copy_layer(values: NDArray[np.float32]) -> None:
    values[2] = values[1]


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        pytest.param(_copy_layer, {"layers differ"}, id="copied-layer"),
        pytest.param(_apply_gain, {"LayerNorm second moment"}, id="gain-left-in"),
        pytest.param(_shift, {"LayerNorm centring"}, id="bias-left-in"),
        pytest.param(
            _swap_norms, {"LayerNorm second moment", "LayerNorm centring"}, id="another-norm"
        ),
        pytest.param(_invent_std, {"mean² + std² <= max |x|²"}, id="invented-std"),
        pytest.param(
            _shrink_maximum,
            {"|mean| <= max |x|", "mean² + std² <= max |x|²"},
            id="maximum-missed",
        ),
        pytest.param(_set_nan, {"finite statistics"}, id="nan"),
        pytest.param(_set_negative, {"finite statistics"}, id="negative-maximum"),
    ],
)
def test_each_fault_breaks_its_own_law_and_no_other(
    change: Callable[[NDArray[np.float32]], Any], broken: set[str]
) -> None:
    assert _failed(_changed(change)) == broken


def test_the_place_of_a_fault_is_named() -> None:
    check = _outcomes(_changed(_invent_std))["mean² + std² <= max |x|²"]
    assert "layer 1, pre, patch, channel 7" in check.sentence
    check = _outcomes(_changed(_apply_gain))["LayerNorm second moment"]
    assert check.number == pytest.approx(1.0201, rel=1e-4)
    assert "another norm" in check.sentence
    assert "another norm" not in _outcomes(make_table())["LayerNorm second moment"].sentence
    check = _outcomes(_changed(_set_nan))["finite statistics"]
    assert "layer 1, pre, cls, std, channel 3" in check.sentence
    assert check.number == 1


def test_tokens_of_almost_no_variance_lose_what_eps_takes_and_that_is_no_fault() -> None:
    payload = make_payload()
    rng = np.random.default_rng(0)
    tokens = rng.normal(0, 0.003, (48, 48))  # variance 0.9e-5, below eps
    normed = (tokens - tokens.mean(1, keepdims=True)) / np.sqrt(tokens.var(1, keepdims=True) + 1e-5)
    table = build_table(payload)
    values = table.values.copy()
    for index, view in ((PRE, tokens), (PER_LAYER_LN, normed)):
        values[0, index, PATCH] = view.mean(0), view.std(0), np.abs(view).max(0)
    check = _outcomes(replace(table, values=values))["LayerNorm second moment"]
    assert np.mean(normed**2) < 0.6
    assert check.ok


def test_dropped_patches_are_counted() -> None:
    table = make_table()
    counts = table.counts.copy()
    counts[2, PATCH] -= 1
    check = _outcomes(replace(table, counts=counts))["patch count"]
    assert check.ok is False
    assert check.number == 47
    assert "47 tokens at layer 2 instead of 48 (6 images × 2 × 4 patches)" in check.sentence


def test_a_wrong_number_of_cls_tokens_is_found_without_any_record() -> None:
    table = make_table(recorded=False)
    counts = table.counts.copy()
    counts[:, CLS] += 1
    assert _failed(replace(table, counts=counts)) == {"CLS count"}


def test_left_out_tokens_are_a_fault_that_explains_the_counts() -> None:
    table = make_table(nonfinite_tokens=[0, 0, 0, 2])
    counts = table.counts.copy()
    counts[3, PATCH] -= 2
    outcomes = _outcomes(replace(table, counts=counts))
    assert outcomes["finite tokens"].ok is False
    assert "2 tokens" in outcomes["finite tokens"].sentence
    assert "layer 3" in outcomes["finite tokens"].sentence
    assert "were left out" in outcomes["patch count"].sentence


def test_what_another_tool_did_not_record_is_not_called_right() -> None:
    outcomes = _outcomes(make_table(recorded=False))
    unknown = {name for name, check in outcomes.items() if check.ok is None}
    assert unknown == {"patch count", "finite tokens", "adapter"}
    assert outcomes["CLS count"].ok


def test_unequal_patches_are_a_fault_also_where_the_size_is_unknown() -> None:
    table = make_table(recorded=False)
    counts = table.counts.copy()
    counts[1, PATCH] += 6
    assert _failed(replace(table, counts=counts)) == {"patch count"}


def test_a_dead_channel_with_another_tools_floor_of_std_is_no_fault() -> None:
    def kill(values: NDArray[np.float32]) -> None:
        values[:, PRE, :, :, 5] = np.array([0.0, 1e-4, 0.0])[None, None]

    assert _failed(_changed(kill)) == set()


@pytest.mark.parametrize(
    ("changes", "ok", "words"),
    [
        pytest.param({}, True, "up to 4.00%", id="acts"),
        pytest.param({"lora_proof": [0.0] * 4}, False, "changes no layer", id="does-nothing"),
        pytest.param({"lora_error": "bad <key>"}, False, "bad <key>", id="broken"),
        pytest.param({"used_lora": False}, None, "No adapter", id="frozen"),
        pytest.param({"lora_proof": None}, None, "not recorded", id="not-measured"),
        pytest.param({"lora_proof": ["x"]}, None, "not recorded", id="nonsense"),
    ],
)
def test_an_adapter_must_act(changes: dict[str, Any], ok: bool | None, words: str) -> None:
    check = _outcomes(make_table(**changes))["adapter"]
    assert check.ok is ok
    assert words in check.sentence


def test_one_layer_of_one_channel_can_be_checked() -> None:
    assert run_checks(make_table(layers=1, channels=1, images=1))
