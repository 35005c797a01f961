"""Nested configs as dotted keys."""

from __future__ import annotations

from analysis.read.flat_config import flatten_config


def test_leaves_stand_under_dotted_keys_and_lists_and_empty_parts_are_leaves() -> None:
    nested = {"model": {"name": "x", "taps": [3, 7], "norm": {"eps": 1}}, "empty": {}}
    flat = {"model.name": "x", "model.taps": [3, 7], "model.norm.eps": 1, "empty": {}}
    assert flatten_config(nested) == flat
