"""Find the settings of an adapter in a file: a dict under any key, or the same as JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

MAX_LEVELS = 8
MAX_TEXT = 1_000_000
"""Characters of a JSON text."""


def read_settings(value: Any) -> dict[str, Any] | None:
    """Return settings with a `lora_alpha`, whichever way they were saved; None of anything else.

    Args:
        value: `LoraConfig.to_dict()`, that as JSON text, or a dict of it by adapter, as peft keeps
            them (of several the one named `default`, else the first by name).
    """
    if isinstance(value, str | bytes):
        value = _read_json(value)
    if not isinstance(value, Mapping):
        return None
    if _is_settings(value):
        return {str(key): item for key, item in value.items()}
    named = {
        str(name): item
        for name, item in value.items()
        if isinstance(item, Mapping) and _is_settings(item)
    }
    if not named or len(named) != len(value):
        return None
    return dict(named.get("default") or named[min(named)])


def find_settings(loaded: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return the settings in a file with the keys that lead to them, each content once."""
    found: list[tuple[str, dict[str, Any]]] = []
    for key, settings in _walk(loaded, "", 0):
        if all(settings != other for _, other in found):
            found.append((key, settings))
    return found


def _walk(value: Any, key: str, level: int) -> Iterator[tuple[str, dict[str, Any]]]:
    settings = read_settings(value)
    if settings is not None:
        yield key, settings
    elif isinstance(value, Mapping) and level < MAX_LEVELS:
        for name, item in value.items():
            if not isinstance(item, Tensor):
                yield from _walk(item, f"{key}.{name}" if key else str(name), level + 1)


def _is_settings(value: Mapping[Any, Any]) -> bool:
    return type(value.get("lora_alpha")) in (int, float)


def _read_json(text: str | bytes) -> Any:
    if not 2 < len(text) <= MAX_TEXT or text.strip()[:1] not in ("{", b"{"):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
