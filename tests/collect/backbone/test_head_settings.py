"""The settings of an adapter are found under any key, and nothing else is taken for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from analysis.collect.backbone.head_settings import find_settings, read_settings

SETTINGS = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}


@pytest.mark.parametrize(
    "saved", [SETTINGS, json.dumps(SETTINGS), json.dumps(SETTINGS).encode(), {"pasture": SETTINGS}]
)
def test_settings_are_read_however_they_were_saved(saved: Any) -> None:
    assert read_settings(saved) == SETTINGS


def test_the_adapter_named_default_comes_first() -> None:
    saved = {"a": SETTINGS | {"lora_alpha": 1}, "default": SETTINGS}
    assert read_settings(saved) == SETTINGS


@pytest.mark.parametrize(
    "other", [None, 3, "{", "{}", "[1]", {}, {"lora_alpha": "8"}, {"r": 4}, {"a": SETTINGS, "b": 1}]
)
def test_anything_else_is_none(other: Any) -> None:
    assert read_settings(other) is None


def test_the_keys_that_lead_to_settings_are_named_and_equal_ones_count_once() -> None:
    loaded = {"epoch": 3, "a": {"b": {"lora": SETTINGS, "n": 1}}, "c": json.dumps(SETTINGS)}
    assert find_settings(loaded) == [("a.b.lora", SETTINGS)]
