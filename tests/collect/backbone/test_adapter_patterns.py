"""Patterns of an adapter's settings choose what peft would choose, or end in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key

from analysis.collect.backbone.adapter_patterns import (
    choose_values,
    find_targeted,
    match_patterns,
)
from analysis.errors import AdapterError

NAMES = [
    f"{path}blocks.{block}.{part}"
    for path in ("", "net.backbone.")
    for block in (0, 1, 11)
    for part in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
] + ["patch_embed.proj", "classifier"]

SETTINGS: list[dict[str, Any]] = [
    {"target_modules": ["qkv"]},
    {"target_modules": ["qkv", "blocks.1.attn.proj", "classifier"]},
    {"target_modules": ["kv", "locks.1.attn.qkv"]},
    {"target_modules": "qkv"},
    {"target_modules": "classifier"},
    {"target_modules": r".*\.(qkv|fc1)"},
    {"target_modules": r"blocks\.1"},
    {"target_modules": r"qkv|classifier|.*proj"},
    {"target_modules": ["qkv"], "layers_to_transform": [1, 11]},
    {"target_modules": ["qkv"], "layers_to_transform": 11, "layers_pattern": "blocks"},
    {"target_modules": ["qkv"], "layers_to_transform": [0], "layers_pattern": ["x", "b.*s"]},
    {"target_modules": ["blocks.1.attn.qkv", "fc1"], "layers_to_transform": [0]},
    {"target_modules": ["qkv", "fc1"], "exclude_modules": ["blocks.1.attn.qkv", "fc1"]},
    {"target_modules": ["qkv", "fc1"], "exclude_modules": r"net\..*"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_modules_are_those_that_peft_chooses(settings: dict[str, Any]) -> None:
    config = LoraConfig(**settings)
    expected = {name for name in NAMES if check_target_module_exists(config, name)}
    assert find_targeted(NAMES, settings) == expected


@pytest.mark.parametrize("targets", ["all-linear", "ALL-LINEAR", None, []])
def test_shorthand_leaves_it_to_the_tensors(targets: Any) -> None:
    assert find_targeted(NAMES, {"target_modules": targets}) is None


@pytest.mark.parametrize(
    "patterns",
    [
        {"qkv": 2, "blocks.1.attn.qkv": 3},
        {"blocks.1.attn.qkv": 3, "qkv": 2},
        {r"blocks\.1\.attn\.qkv": 3, "proj": 5},
        {r"blocks\.\d+\.attn\..*": 3, "qkv": 2},
        {"qkv": 2, r"blocks\.\d+\.attn\..*": 3},
        {r"net.*blocks\.1\.attn\.qkv": 3},
        {"locks.1.attn.qkv": 1},
    ],
    ids=str,
)
def test_values_are_those_of_the_pattern_that_peft_takes(patterns: dict[str, int]) -> None:
    expected = {name: patterns.get(get_pattern_key(list(patterns), name), 8) for name in NAMES}
    assert choose_values(NAMES, patterns, 8, "rank_pattern") == expected


ENDLESS = r"((\w|\.|\d)+)+!"


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ENDLESS},
        {"target_modules": ["qkv"], "exclude_modules": ENDLESS},
        {"target_modules": ["qkv"], "layers_to_transform": [1], "layers_pattern": [ENDLESS]},
    ],
    ids=["targets", "exclusion", "layers"],
)
def test_pattern_without_end_ends_in_a_sentence(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.collect.backbone.adapter_patterns.SECONDS", 0.3)
    with pytest.raises(AdapterError, match=r"take more than 0\.3 s"):
        find_targeted(NAMES, settings)


def test_pattern_without_end_of_ranks_ends_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.collect.backbone.adapter_patterns.SECONDS", 0.3)
    with pytest.raises(AdapterError, match="take more than"):
        choose_values(NAMES, {ENDLESS: 3}, 8, "rank_pattern")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"target_modules": "(("}, "cannot be matched"),
        ({"target_modules": ".*" * 3000}, "more than 2000 characters"),
        ({"target_modules": 3}, "target_modules is 3"),
        ({"target_modules": ["qkv"], "layers_to_transform": "x"}, "layers_to_transform is 'x'"),
    ],
)
def test_settings_that_are_no_names_and_no_pattern_are_refused(
    settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(AdapterError, match=named):
        find_targeted(NAMES, settings)


def test_no_pattern_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", None)
    assert match_patterns([], NAMES) == []
    assert len(find_targeted(NAMES, {"target_modules": ["qkv"]}) or ()) == 6
