"""The tour says what the payload supports, with its numbers, and is silent otherwise."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from analysis.show.tour import (
    Step,
    plan_tour,
    show_adapter,
    show_dominant_channels,
    show_shared_norm,
)
from tests.factories.payloads import make_flat_table, make_table


def flat(layers: int = 6, channels: int = 48) -> Any:
    """All channels alike: mean 0, std 1, max |x| 4 in every cell."""
    values = np.zeros((layers, 3, 2, 3, channels))
    values[..., 1, :], values[..., 2, :] = 1, 4
    return values


def meta(*, used_lora: bool, **run: Any) -> dict[str, Any]:
    backbone = {"backbone_name": "b", "used_lora": used_lora, "lora_error": None}
    return {"backbone": backbone, "run": run, "config": {}, "counts": {"num_images": 10}}


def titles(steps: tuple[Step, ...]) -> list[str]:
    return [step.title for step in steps]


def test_a_payload_in_which_nothing_stands_out_gives_no_tour() -> None:
    assert plan_tour(make_flat_table(flat())) == ()


def test_an_early_layer_that_the_shared_norm_enlarges_is_named_with_both_numbers() -> None:
    values = flat()
    values[1, 2, 1, 2] *= 6  # global_ln, patch, max_abs of layer 1
    step = show_shared_norm(make_flat_table(values))
    assert step is not None
    assert "In layer 1 the shared norm gives patch tokens a size of 24 " in step.help
    assert "they give 4 and 4" in step.help
    assert "that is 6 times what it is in layer 5" in step.help


def test_a_shared_norm_that_shrinks_an_early_layer_is_said_so() -> None:
    values = flat()
    values[0, 2, 1, 2] /= 4
    step = show_shared_norm(make_flat_table(values))
    assert step is not None
    assert "that is 1/4 of what it is in layer 5" in step.help


def test_distortion_of_a_late_layer_or_of_less_than_two_is_not_shown() -> None:
    late, little = flat(), flat()
    late[3, 2, 1, 2] *= 6
    little[0, 2, 1, 2] *= 1.9
    assert show_shared_norm(make_flat_table(late)) is None
    assert show_shared_norm(make_flat_table(little)) is None
    assert show_shared_norm(make_flat_table(flat(layers=2))) is None
    assert show_shared_norm(make_flat_table(np.zeros((6, 3, 2, 3, 48)))) is None


def test_three_channels_that_hold_most_of_a_token_are_named() -> None:
    values = flat()
    values[4, 0, 1, 0, [7, 11, 30]] = 20, 30, 40  # mean of pre, patch
    values[4, 0, 1, 2, [7, 11, 30]] = 24, 32, 44
    step = show_dominant_channels(make_flat_table(values))
    assert step is not None
    assert step.view["layer"] == "4"
    assert "In layer 4 the channels 30, 11 and 7 reach 6 to 11 times" in step.help
    share = (2900 + 3) / (2900 + 48)
    assert f"they hold {share:.0%}, where 3 of 48 like channels would hold 6.2%" in step.help


def test_large_channels_that_hold_little_and_one_that_holds_all_are_not_three() -> None:
    little, one = flat(), flat()
    little[4, 0, 1, 2, [7, 11, 30]] = 40  # rare peaks
    one[4, 0, 1, 0, 7], one[4, 0, 1, 2, 7] = 100, 110
    assert show_dominant_channels(make_flat_table(little)) is None
    assert show_dominant_channels(make_flat_table(one)) is None


def test_dead_channels_and_few_channels_are_no_reason_to_fail() -> None:
    assert show_dominant_channels(make_flat_table(np.zeros((6, 3, 2, 3, 48)))) is None
    assert show_dominant_channels(make_flat_table(flat(channels=3))) is None


def test_drift_between_frozen_and_adapted_is_told_in_either_direction() -> None:
    moved = flat()
    moved[2, 0, 1, 0] += 0.5
    frozen = make_flat_table(flat(), **meta(used_lora=False))
    adapted = make_flat_table(moved, **meta(used_lora=True))
    for table, name, twin, twin_name in (
        (frozen, "cold", adapted, "warm"),
        (adapted, "warm", frozen, "cold"),
    ):
        step = show_adapter(table, name, twin, twin_name)
        assert step is not None
        assert step.page == "versions"
        assert step.view["layer"] == "2"
        assert "Between cold and warm" in step.help
        assert "0.50 in layer 2" in step.help


def test_no_drift_two_frozen_versions_and_other_backbones_are_not_shown() -> None:
    frozen = make_flat_table(flat(), **meta(used_lora=False))
    same = make_flat_table(flat(), **meta(used_lora=True))
    other = make_flat_table(flat(channels=96), **meta(used_lora=True))
    assert show_adapter(frozen, "a", same, "b") is None
    assert show_adapter(frozen, "a", frozen, "b") is None
    assert show_adapter(frozen, "a", other, "b") is None


def test_without_a_twin_the_recorded_effect_is_told_where_there_is_one() -> None:
    proof = [0.01, 0.02, 0.05, 0.04, 0.03, 0.02]
    step = show_adapter(
        make_flat_table(flat(), **meta(used_lora=True, lora_proof=proof)), "a", None, ""
    )
    assert step is not None
    assert step.page == "overview"
    assert "by 0.01 to 0.05 of their size, most in layer 2" in step.help
    for used_lora, nothing in ((True, [0.0] * 6), (True, None), (True, [0.1]), (False, proof)):
        table = make_flat_table(flat(), **meta(used_lora=used_lora, lora_proof=nothing))
        assert show_adapter(table, "a", None, "") is None


def test_names_are_escaped_and_every_step_has_two_sentences() -> None:
    values = flat()
    values[0, 2, 1, 2] *= 6
    values[4, 0, 1, 0, :3], values[4, 0, 1, 2, :3] = 30, 32
    moved = values.copy()
    moved[2, 0, 1, 0] += 0.5
    steps = plan_tour(
        make_flat_table(values, **meta(used_lora=False)),
        "*x*",
        make_flat_table(moved, **meta(used_lora=True)),
        "y",
        escape=lambda text: text.replace("*", r"\*"),
    )
    assert titles(steps) == [
        "The shared LayerNorm distorts early layers",
        "Three channels hold most of the length of patch tokens",
        "What LoRA changed",
    ]
    assert r"\*x\*" in steps[2].help
    assert [len(re.findall(r"\.(?= [A-Z]|$)", step.help)) for step in steps] == [2, 2, 2]


def test_a_payload_of_the_factory_gives_steps_that_name_its_own_layers() -> None:
    table = make_table(layers=6, channels=48, outliers={5: 300.0, 9: 200.0, 30: 150.0})
    step = show_dominant_channels(table)
    assert step is not None
    assert "5, 9 and 30" in step.help
