"""What a payload must hold: keys, types, shapes and limits, checked before anything reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from analysis.errors import PayloadError
from analysis.vocabulary import Representation, Statistic, TokenRole


def validate_payload(payload: Any, path: Path) -> None:
    """Check the structure that every reader relies on.

    Raises:
        PayloadError: At the first key that is missing or not as specified, naming the path, the
            key, what was expected and what was found.
    """
    meta = _child(payload, "meta", dict, path)
    layers = _child(payload, "layers", dict, path)
    _child(meta, "config", dict, path, "meta")
    backbone = _child(meta, "backbone", dict, path, "meta")
    counts = _child(meta, "counts", dict, path, "meta")
    for key in BACKBONE_KEYS:
        if key not in backbone:
            raise _fault(path, f"meta.backbone.{key}", "this key", "nothing")
        if not isinstance(backbone[key], BACKBONE_TYPES.get(key, str | None)):
            found = f"a {type(backbone[key]).__name__}"
            raise _fault(path, f"meta.backbone.{key}", "text, or a bool for used_lora", found)
    for key in COUNT_KEYS:
        if not 0 <= _child(counts, key, int, path, "meta.counts") <= MAX_COUNT:
            raise _fault(path, f"meta.counts.{key}", f"0 to {MAX_COUNT}", repr(counts[key]))
    num_layers, channels = counts["num_layers"], counts["embedding_dim"]
    if num_layers > MAX_LAYERS or channels < 1 or num_layers * channels > MAX_TABLE:
        raise _fault(
            path,
            "meta.counts",
            f"at most {MAX_LAYERS} layers and {MAX_TABLE} channels of all layers, at least 1",
            f"{num_layers} layers of {channels} channels",
        )
    expected_layers = list(range(num_layers))
    if (
        not layers
        or any(type(key) is not int for key in layers)
        or sorted(layers) != expected_layers
    ):
        raise _fault(
            path,
            "layers",
            f"the layers 0 to {num_layers - 1} of meta.counts.num_layers = {num_layers}",
            f"{len(layers)} layer(s): {_shorten(layers)}",
        )
    for layer in range(num_layers):
        for role in TokenRole:
            counts = [
                _validate_cell(layers, layer, representation.value, role.value, channels, path)
                for representation in Representation
            ]
            if len(set(counts)) > 1:
                key = f"layers.{layer}.*.{role.value}.count"
                expected = "the same tokens behind every representation"
                raise _fault(path, key, expected, ", ".join(map(str, counts)))


def _validate_cell(
    layers: Any, layer: int, representation: str, role: str, channels: int, path: Path
) -> int:
    where = f"layers.{layer}"
    representations = _child(layers, layer, dict, path, "layers")
    roles = _child(representations, representation, dict, path, where)
    cell = _child(roles, role, dict, path, f"{where}.{representation}")
    where = f"{where}.{representation}.{role}"
    if not 1 <= _child(cell, "count", int, path, where) <= MAX_COUNT:
        expected = f"1 to {MAX_COUNT} (count 0 has no mean)"
        raise _fault(path, f"{where}.count", expected, str(cell["count"]))
    for statistic in Statistic:
        key = f"{where}.{statistic.value}"
        values = _child(cell, statistic.value, torch.Tensor, path, where)
        if tuple(values.shape) != (channels,) or values.dtype != torch.float32:
            expected = f"a float32 tensor of shape ({channels},)"
            raise _fault(path, key, expected, f"{values.dtype} {tuple(values.shape)}")
        if values.layout != torch.strided or values.device.type != "cpu":
            found = f"a {values.layout} tensor on {values.device}"
            raise _fault(path, key, "a plain CPU tensor", found)
        if values.requires_grad or values.is_neg() or values.is_conj():
            raise _fault(path, key, "a plain tensor", "one that is a parameter or a lazy view")
        if not bool(torch.isfinite(values).all()):
            number = int((~torch.isfinite(values)).sum())
            raise _fault(path, key, "finite numbers", f"{number} NaN or infinite channel(s)")
        if statistic is not Statistic.MEAN and bool((values < 0).any()):
            raise _fault(path, key, "0 or more", f"a minimum of {float(values.min()):.4g}")
    return cell["count"]


def _child(
    parent: Any, key: Any, kind: type, path: Path, where: str = ""
) -> Any:  # the payload's edge: nothing is known of its types yet
    name = f"{where}.{key}" if where else str(key)
    if not isinstance(parent, Mapping):
        raise _fault(path, where or "the file", "a dict", type(parent).__name__)
    if key not in parent:
        raise _fault(path, name, f"this key ({kind.__name__})", f"only {_shorten(parent)}")
    value = parent[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _fault(path, name, f"a {kind.__name__}", f"a {type(value).__name__}")
    return value


def _fault(path: Path, key: str, expected: str, found: str) -> PayloadError:
    return PayloadError(
        f"{path}: not a feature-statistics payload. {key}: expected {expected}, found {found}. "
        "Make it anew with analyze_dinov3_features.py."
    )


def _shorten(keys: Any) -> str:
    names = [repr(key)[:40] for key in list(keys)[:10]]
    return ", ".join(names) + (", ..." if len(keys) > 10 else "") if names else "nothing"


COUNT_KEYS = ("num_images", "num_batches", "num_layers", "embedding_dim", "n_storage_tokens")


BACKBONE_KEYS = (
    "backbone_name",
    "dino_weights_pt",
    "head_weights_base",
    "first_head_path",
    "used_lora",
    "lora_error",
)


BACKBONE_TYPES = {"backbone_name": str, "used_lora": bool}
"""Types of the others: text or None."""


MAX_COUNT = 10**15
"""Images or tokens."""


MAX_LAYERS = 256


MAX_TABLE = 2**20
"""Layers times channels: six times those of the largest backbone."""
