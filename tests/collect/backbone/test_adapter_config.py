"""Settings of any peft version are understood; differences from the training config are said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.collect.backbone.adapter_config import (
    build_lora_config,
    compare_with_training,
    describe_adapter,
)
from analysis.collect.backbone.head_file import Head
from analysis.errors import AdapterError
from tests.factories.adapters import train_adapter


def stored_settings(**changes: Any) -> dict[str, Any]:
    return train_adapter().peft_config["default"].to_dict() | changes


def test_stored_settings_come_back() -> None:
    config, warnings = build_lora_config(stored_settings(r=6, lora_alpha=3, use_rslora=True))
    assert (config.r, config.lora_alpha, config.use_rslora) == (6, 3, True)
    assert config.target_modules == {"qkv"}
    assert warnings == []


def test_settings_of_an_older_peft_take_the_defaults() -> None:
    config, warnings = build_lora_config({"peft_type": "LORA", "r": 4, "target_modules": ["qkv"]})
    assert (config.r, config.lora_alpha, config.use_dora) == (4, 8, False)
    assert warnings == []


def test_setting_of_a_newer_peft_is_left_out_and_said() -> None:
    _, warnings = build_lora_config(stored_settings(use_hyper=True, off_by_default=None, n=0))
    assert len(warnings) == 1
    assert "use_hyper = True" in warnings[0]
    assert "off_by_default" not in warnings[0]


def test_network_access_is_never_asked_for() -> None:
    config, _ = build_lora_config(stored_settings(base_model_name_or_path="someone/model"))
    assert config.base_model_name_or_path is None


@pytest.mark.parametrize("initial", [True, False, "gaussian", "eva", "orthogonal"])
def test_initialisation_that_the_tensors_replace_is_not_run(initial: Any) -> None:
    config, warnings = build_lora_config(stored_settings(init_lora_weights=initial))
    assert config.init_lora_weights is True
    assert warnings == []


@pytest.mark.parametrize("initial", ["pissa", "pissa_niter_4", "olora"])
def test_initialisation_that_changes_the_base_is_kept_and_said(initial: str) -> None:
    config, warnings = build_lora_config(stored_settings(init_lora_weights=initial))
    assert config.init_lora_weights == initial
    assert initial in warnings[0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"peft_type": "IA3"}, "IA3"),
        ({"init_lora_weights": "loftq"}, "loftq"),
        ({"init_lora_weights": "corda"}, "corda"),
        ({"layers_to_transform": [1], "target_modules": "blocks.*"}, "peft refuses"),
    ],
)
def test_adapter_that_cannot_be_rebuilt_is_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(AdapterError, match=expected):
        build_lora_config(stored_settings(**changes))


# --- against the training config

BLOCKS = (10, 11)
HEAD = Head(
    Path("infer_head.pt"),
    meta={"backbone": "dinov3_vitb16"},
    peft_config={"r": 8, "lora_alpha": 16, "use_dora": True, "target_modules": ["qkv", "proj"]},
    peft_state={
        f"blocks.{block}.attn.{layer}.lora_{letter}.weight": torch.zeros(1)
        for block in BLOCKS
        for layer in ("qkv", "proj")
        for letter in "AB"
    },
)
MATCHING: dict[str, Any] = {
    "model": {"backbone": "dinov3_vitb16"},
    "peft": {
        "enabled": True,
        "r": 8,
        "lora_alpha": 16,
        "use_dora": True,
        "last_k_blocks": 2,
        "target_modules": ["attn.proj", "qkv"],
    },
}


def compare(head: Head = HEAD, **peft: Any) -> list[str]:
    return compare_with_training(head, MATCHING | {"peft": MATCHING["peft"] | peft}, depth=12)


def test_head_that_matches_the_config_gives_no_warning() -> None:
    assert compare() == []


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("r", 16, "r 8, the training config says 16"),
        ("lora_alpha", 8, "lora_alpha 16, the training config says 8"),
        ("use_dora", False, "use_dora True, the training config says False"),
        ("target_modules", ["qkv"], "target_modules ['proj', 'qkv'], the training config says"),
        ("last_k_blocks", 3, "blocks [10, 11], the training config says [9, 10, 11]"),
        ("last_k_blocks", 0, "blocks [10, 11], the training config says [0, 1, 2,"),
        ("enabled", False, "disables the adapter"),
    ],
)
def test_every_difference_from_the_config_is_said(key: str, value: Any, named: str) -> None:
    warnings = compare(**{key: value})
    assert len(warnings) == 1
    assert warnings[0].startswith("infer_head.pt: ")
    assert named in warnings[0]


def test_head_of_another_backbone_is_said() -> None:
    config = MATCHING | {"model": {"backbone": "dinov3_vitl16"}}
    warnings = compare_with_training(HEAD, config, depth=12)
    assert len(warnings) == 1
    assert "backbone dinov3_vitb16, the training config says dinov3_vitl16" in warnings[0]


def test_missing_adapter_is_said_where_the_config_wants_one() -> None:
    bare = Head(HEAD.path, HEAD.meta)
    assert "holds none" in compare(bare)[0]
    assert compare(bare, enabled=False) == []
    assert compare(replace(bare, fault="it is broken")) == [], "that has an error of its own"


@pytest.mark.parametrize("config", [{}, {"model": None, "peft": None}, {"peft": [1]}], ids=str)
def test_what_the_config_does_not_say_is_not_compared(config: dict[str, Any]) -> None:
    assert compare_with_training(HEAD, config, depth=12) == []


def test_adapter_is_described_by_what_it_reaches() -> None:
    summary = describe_adapter(HEAD)
    assert summary["blocks"] == list(BLOCKS)
    assert summary["targets"] == ["proj", "qkv"]
    assert summary["n_modules"] == 4
