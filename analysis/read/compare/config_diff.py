"""Settings of two training configs that differ, most important first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.language import _
from analysis.read.flat_config import flatten_config


def read_settings(config: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the training config with what the run recorded of the adapter it measured.

    Args:
        config: The training config.
        run: `meta["run"]`; its `adapter` goes under the key `measured_adapter`.
    """
    adapter = run.get("adapter")
    if not isinstance(adapter, Mapping):
        return dict(config)
    facts = {key: value for key, value in adapter.items() if key not in _PROVENANCE}
    return {**config, "measured_adapter": facts}


def config_diff(a: Mapping[str, Any], b: Mapping[str, Any]) -> pd.DataFrame:
    """List the settings that differ between two training configs.

    Returns:
        One row per dotted key: key, a, b (as a config spells them, empty where absent), status
        (`changed`, `only in A`, `only in B`). Keys of the model and its adapter first.
    """
    flat_a, flat_b = flatten_config(a), flatten_config(b)
    keys = sorted(flat_a.keys() | flat_b.keys(), key=_importance)
    rows = [
        (key, _as_text(flat_a, key), _as_text(flat_b, key), _status(key, flat_a, flat_b))
        for key in keys
        if key not in flat_a or key not in flat_b or not _same(flat_a[key], flat_b[key])
    ]
    return pd.DataFrame(rows, columns=["key", "a", "b", "status"], dtype="str")


def name_sides(diff: pd.DataFrame, names: tuple[str, str]) -> pd.DataFrame:
    """Return the list with the names of the versions in the place of A and B in its status."""
    sides = zip((_("only in A"), _("only in B")), names, strict=True)
    only = {side: _("only in {name}").format(name=name) for side, name in sides}
    return diff.replace({"status": only})


def _importance(key: str) -> tuple[int, str]:
    first = next((i for i, start in enumerate(_FIRST_KEYS) if key.startswith(start)), None)
    return len(_FIRST_KEYS) if first is None else first, key


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b  # True is not 1: a YAML slip worth seeing


def _as_text(flat: Mapping[str, Any], key: str) -> str:
    if key not in flat:
        return ""
    value = flat[key]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _status(key: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    if key in a and key in b:
        return _("changed")
    return _("only in A") if key in a else _("only in B")


_PROVENANCE = ("source", "peft_version")
_FIRST_KEYS = ("version", "model.", "measured_adapter.", "peft.", "lora.", "train_all.", "data.")
