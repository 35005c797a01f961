from __future__ import annotations

from typing import Any

import pytest

from analysis.read.compare.compatibility import Severity, check_compatibility
from tests.factories.payloads import make_table


def _reasons(*changes: dict[str, Any]) -> dict[str, tuple[Severity, str]]:
    tables = [make_table(**{"version": f"v{i}", **change}) for i, change in enumerate(changes)]
    return {r.topic: (r.severity, r.sentence) for r in check_compatibility(tables)}


def test_versions_measured_alike_have_nothing_against_them() -> None:
    reasons = _reasons({}, {})
    assert {severity for severity, _ in reasons.values()} == {Severity.GREEN}
    assert reasons["image size"][1] == "Image size: the same (64 × 32)."
    assert "adapter" not in reasons


@pytest.mark.parametrize(
    ("topic", "severity", "change"),
    [
        pytest.param("backbone", Severity.RED, {"backbone": "dinov3_vits16"}, id="backbone"),
        pytest.param("channels", Severity.RED, {"channels": 24}, id="channels"),
        pytest.param("layers", Severity.RED, {"layers": 2}, id="layers"),
        pytest.param("adapter", Severity.RED, {"lora_error": "no such key"}, id="broken-adapter"),
        pytest.param("adapter", Severity.AMBER, {"version": "v0"}, id="same-adapter"),
        pytest.param(
            "backbone weights", Severity.AMBER, {"weights_sha256": "c" * 64}, id="weights"
        ),
        pytest.param("images", Severity.AMBER, {"dataset_fingerprint": "e"}, id="images"),
        pytest.param("number of images", Severity.AMBER, {"images": 5}, id="fewer-images"),
        pytest.param("token counts", Severity.AMBER, {"images": 5}, id="fewer-tokens"),
        pytest.param("image size", Severity.AMBER, {"network_size": [32, 32]}, id="size"),
        pytest.param("normalisation", Severity.AMBER, {"normalization": {}}, id="normalisation"),
        pytest.param("split", Severity.AMBER, {"split": "val"}, id="split"),
        pytest.param("precision", Severity.AMBER, {"precision": "bf16"}, id="precision"),
        pytest.param("tool version", Severity.AMBER, {"tool_version": "9"}, id="tool"),
        pytest.param("images", Severity.AMBER, {"recorded": False}, id="not-recorded"),
    ],
)
def test_what_differs_is_said_with_its_weight(
    topic: str, severity: Severity, change: dict[str, Any]
) -> None:
    found, sentence = _reasons({}, change)[topic]
    assert found is severity
    assert sentence.endswith(".")
    assert "B" in sentence or topic == "adapter"


def test_both_values_are_named() -> None:
    _, sentence = _reasons({}, {"precision": "bf16"})["precision"]
    assert "A fp32, B bf16" in sentence


def test_what_is_not_recorded_is_not_called_equal() -> None:
    reasons = _reasons({"recorded": False}, {"recorded": False})
    assert reasons["precision"][0] is Severity.AMBER
    assert "not recorded in A, B" in reasons["precision"][1]
    assert reasons["backbone"][0] is Severity.GREEN


def test_two_frozen_backbones_do_not_share_an_adapter() -> None:
    frozen = {"used_lora": False, "version": "v0"}
    assert "adapter" not in _reasons(frozen, frozen)


def test_one_that_differs_among_several_is_enough() -> None:
    reasons = _reasons({}, {}, {"precision": "tf32"})
    assert reasons["precision"][0] is Severity.AMBER


def test_the_worst_comes_first_and_names_are_used() -> None:
    tables = [make_table(), make_table(backbone="other", precision="bf16", version="v2")]
    reasons = check_compatibility(tables, ["left", "right"])
    order = [reason.severity for reason in reasons]
    assert order == sorted(order, key=[Severity.RED, Severity.AMBER, Severity.GREEN].index)
    assert "left dinov3_vitt16_demo, right other" in reasons[0].sentence


def test_a_payload_without_a_record_is_judged_by_its_config() -> None:
    reasons = _reasons({}, {"recorded": False})
    assert reasons["image size"] == (
        Severity.GREEN,
        "Image size by the configs: the same (64 × 32).",
    )
    assert reasons["split"] == (Severity.GREEN, "Split by the configs: the same (train).")
    assert "by the path of the file: the same" in reasons["backbone weights"][1]
    assert "not recorded in B" in reasons["precision"][1]


def test_configs_that_differ_are_said_to() -> None:
    severity, sentence = _reasons({"recorded": False}, {"recorded": False, "train_all": True})[
        "split"
    ]
    assert severity is Severity.AMBER
    assert "A train, B all" in sentence
