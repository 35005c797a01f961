"""The record of a run in a payload, `meta["run"]`, cleared of what is not as specified.

Every fact of it is optional and only shown or compared, so a wrong one must not keep a payload
with right statistics from being read: it is left out, and a warning of the run says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

MAX_TEXT = 5000
MAX_NUMBER = 10**15
MAX_HEAD_LAYERS = 256
MAX_SIDE = 100_000
"""Pixels."""

WRONG = "meta.run.{} is not as this version writes it, and is left out."


def clear_run(run: Any, num_layers: int) -> dict[str, Any]:
    """Return the facts without those of a wrong type; keys that are not known stay.

    Args:
        run: `meta["run"]` in JSON types.
        num_layers: Numbers that a list with one for each layer must hold.
    """
    if not isinstance(run, Mapping):
        return {"warnings": ["meta.run is no mapping, and is left out."]}
    given = {key: value for key, value in run.items() if value is not None}
    wrong = [key for key, value in given.items() if key in _KINDS and not _KINDS[key](value)]
    wrong += [
        key
        for key in _PER_LAYER
        if key not in wrong and len(given.get(key, ())) not in (0, num_layers)
    ]
    right = {key: value for key, value in given.items() if key not in wrong}
    warnings = [WRONG.format(key) for key in wrong]
    if warnings:
        right["warnings"] = [*right.get("warnings", []), *warnings]
    return right


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MAX_NUMBER


def _is_amount(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < MAX_NUMBER


def _is_real(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < MAX_NUMBER


def _is_size(value: Any) -> bool:
    sides = value if isinstance(value, list) and len(value) == 2 else [0]
    return all(_is_count(side) and 0 < side <= MAX_SIDE for side in sides)


def _is_normalization(value: Any) -> bool:
    triples = [value.get(key) for key in ("mean", "std")] if isinstance(value, dict) else [None]
    return all(
        isinstance(triple, list) and len(triple) == 3 and all(map(_is_real, triple))
        for triple in triples
    )


def _is_list_of(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(kind, value))


def _is_skipped_file(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_text(value.get(key)) for key in ("path", "reason"))


def _is_adapter(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    given = {key: part for key, part in value.items() if part is not None}
    return all(kind(given[key]) for key, kind in _ADAPTER.items() if key in given)


def _is_short(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: _is_list_of(kind)(value) and len(value) <= MAX_HEAD_LAYERS


def _is_token_norm(value: Any) -> bool:
    numbers = ("gamma_mean", "gamma_std", "beta_rms")
    return (
        isinstance(value, dict)
        and _is_count(value.get("index"))
        and "gamma_mean" in value
        and "gamma_std" in value
        and all(_is_real(value[key]) for key in numbers if key in value)
    )


_TEXTS = """tool_version torch_version peft_version created config_name device device_name precision
group_by split dataset_fingerprint request_fingerprint weights_sha256 weights_format weights_key
adapter_sha256"""
_COUNTS = """schema_version max_images batch_size world_size head_index fold skipped_count
dropped_missing_target"""

_ADAPTER: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("method", "source", "peft_version"), _is_text),
    **dict.fromkeys(("rank", "least_rank", "modules", "parameters"), _is_count),
    "alpha": _is_real,
    **dict.fromkeys(("targets", "trained_whole"), _is_list_of(_is_text)),
    "blocks": _is_list_of(_is_count),
}

_PER_LAYER = ("nonfinite_tokens", "lora_proof")
_KINDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_TEXTS.split(), _is_text),
    **dict.fromkeys(_COUNTS.split(), _is_count),
    "compiled": _is_flag,
    "image_size": _is_size,
    "network_size": _is_size,
    "normalization": _is_normalization,
    "adapter": _is_adapter,
    "head_layer_weights": _is_short(_is_amount),
    "head_token_norms": _is_short(_is_token_norm),
    "heads": _is_list_of(_is_text),
    "skipped_files": _is_list_of(_is_skipped_file),
    "warnings": _is_list_of(_is_text),
    "nonfinite_tokens": _is_list_of(_is_count),
    "lora_proof": _is_list_of(_is_real),
    "seconds": _is_amount,
    "images_per_second": _is_amount,
}
