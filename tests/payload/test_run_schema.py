"""A wrong fact about a run is left out and named; it keeps nobody from the statistics."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.payload.run_schema import clear_run
from tests.factories.payloads import make_payload, make_table

RUN = make_payload(layers=2, channels=4)["meta"]["run"]


def test_what_the_tool_writes_is_kept_whole() -> None:
    given = {key: value for key, value in RUN.items() if value is not None}
    assert clear_run(RUN, num_layers=2) == given


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seconds", float("nan")),
        pytest.param("seconds", 10**600, id="seconds-endless"),
        ("seconds", -1.0),
        ("batch_size", True),
        ("image_size", [64]),
        ("image_size", [64, 10**9]),
        ("normalization", {"mean": [1, 2, 3]}),
        ("device", ["cpu"]),
        ("warnings", "x"),
        ("skipped_files", [{"path": "a"}]),
        ("nonfinite_tokens", [0]),
        ("lora_proof", [0.1, 0.2, 0.3]),
        ("lora_proof", [0.1, float("inf")]),
        ("head_layer_weights", [0.5, "0.5"]),
        pytest.param("head_layer_weights", [0.001] * 300, id="weights-of-300-layers"),
        ("head_token_norms", [{"index": 0, "gamma_mean": 1.0}]),
        ("head_token_norms", [{"index": 0, "gamma_mean": 1.0, "gamma_std": "0"}]),
        ("image_sets", [{"section": "data.train_csv"}]),
        ("adapter", [1]),
        ("adapter", {"rank": "4"}),
        ("adapter", {"alpha": float("nan")}),
        ("adapter", {"targets": "qkv"}),
        ("adapter", {"blocks": [-1]}),
        ("adapter", {"method": "x" * 6000}),
    ],
)
def test_a_fact_of_a_wrong_kind_is_left_out_and_named(key: str, value: Any) -> None:
    found = clear_run(RUN | {key: value}, num_layers=2)
    if key != "warnings":
        assert key not in found
    assert any(f"meta.run.{key} " in warning for warning in found["warnings"])


def test_facts_of_later_versions_stay() -> None:
    assert clear_run({"new": [1]}, num_layers=2) == {"new": [1]}


def test_a_run_that_is_no_mapping_reads_as_a_warning() -> None:
    assert set(clear_run([1], num_layers=2)) == {"warnings"}


def test_a_table_holds_the_cleared_facts() -> None:
    assert "seconds" not in make_table(layers=2, channels=4, seconds="fast").run
