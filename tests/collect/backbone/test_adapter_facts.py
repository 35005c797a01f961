"""What is recorded of an adapter; differences from the training config are said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.collect.backbone.adapter_facts import (
    compare_with_training,
    describe_adapter,
    describe_missing_head,
)
from analysis.collect.backbone.head_file import Head
from tests.factories.backbones import make_backbone, tiny_variant

BACKBONE = make_backbone(tiny_variant(depth=12))

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

MATCHING_BARE: dict[str, Any] = {"version": "v2", "model": {"backbone": "dinov3_vitb16"}}


def compare(head: Head = HEAD, **peft: Any) -> list[str]:
    return compare_with_training(head, MATCHING | {"peft": MATCHING["peft"] | peft}, BACKBONE)


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


@pytest.mark.parametrize("extra", [["w1", "w2", "w3"], ["gate_proj"], ["classifier"]])
def test_targets_that_the_backbone_lacks_are_no_difference(extra: list[str]) -> None:
    assert compare(target_modules=["attn.proj", "qkv", *extra]) == []
    assert len(compare(target_modules=["fc1", *extra])) == 1


def test_targets_of_another_implementation_are_not_compared() -> None:
    assert compare(target_modules=["q_proj", "v_proj"]) == []


def test_head_of_another_backbone_is_said() -> None:
    config = MATCHING | {"model": {"backbone": "dinov3_vitl16"}}
    warnings = compare_with_training(HEAD, config, BACKBONE)
    assert len(warnings) == 1
    assert "backbone dinov3_vitb16, the training config says dinov3_vitl16" in warnings[0]


def test_missing_adapter_is_said_where_the_config_wants_one() -> None:
    bare = Head(HEAD.path, HEAD.meta)
    assert "holds none" in compare(bare)[0]
    assert compare(bare, enabled=False) == []
    assert compare(replace(bare, fault="it is broken")) == [], "that has an error of its own"


@pytest.mark.parametrize("config", [{}, {"model": None, "peft": None}, {"peft": [1]}], ids=str)
def test_what_the_config_does_not_say_is_not_compared(config: dict[str, Any]) -> None:
    assert compare_with_training(HEAD, config, BACKBONE) == []


def test_adapter_is_described_by_what_it_reaches() -> None:
    summary = describe_adapter(HEAD, BACKBONE)
    assert summary["blocks"] == list(BLOCKS)
    assert summary["targets"] == ["proj", "qkv"]
    assert summary["modules"] == 4
    assert summary["method"] == "DoRA"


@pytest.mark.parametrize(
    ("meta", "named"),
    [
        ({"version": "v1"}, "version v1, the training config says v2"),
        ({"version": 1.1}, "version 1.1, the training config says v2"),
        ({"config": {"version": "v1"}}, "version v1, the training config says v2"),
        ({"backbone_name": "dinov3_vits16"}, "backbone dinov3_vits16, the training config says"),
        ({"config": {"model": {"backbone": "dinov3_vits16"}}}, "backbone dinov3_vits16"),
        ({"embedding_dim": 1280}, "embedding_dim 1280, the training config says 48"),
    ],
)
def test_facts_of_a_head_are_compared_with_what_is_measured(
    meta: dict[str, Any], named: str
) -> None:
    warnings = compare_with_training(Head(Path("h.pt"), meta), MATCHING_BARE, BACKBONE)
    assert len(warnings) == 1
    assert named in warnings[0]
    assert "another version" in warnings[0]


@pytest.mark.parametrize("name", ["facebook/dinov3-vitb16-pretrain-lvd1689m", "dinov3_vitb16"])
def test_other_spelling_of_the_backbone_is_no_difference(name: str) -> None:
    head = Head(Path("h.pt"), {"backbone": name, "version": "v2", "embedding_dim": 48})
    assert compare_with_training(head, MATCHING_BARE, BACKBONE) == []


def test_missing_head_is_said_where_the_config_enables_an_adapter() -> None:
    assert "no head was found" in describe_missing_head(MATCHING)[0]
    assert describe_missing_head({"lora": {"enabled": True}})
    assert describe_missing_head({"peft": {"enabled": False}}) == []
    assert describe_missing_head({}) == []
