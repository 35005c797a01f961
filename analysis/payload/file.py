"""The payload file: build, validate, save atomically, load safely.

Structure (the specification's, plus `meta["run"]` and the optional `extras`)::

    {
        "meta": {"project_dir", "config", "backbone", "counts", "run"},
        "layers": {layer: {representation: {role: {"count", "mean", "std", "max_abs"}}}},
        "extras": {...},
    }

`count` is an int, the statistics are float32 CPU tensors ``[channels]``. Everything else is a
plain type, so that `torch.load(weights_only=True)` reads the file anywhere.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from analysis.errors import ConfigError, PayloadError
from analysis.files.atomic import replace_file
from analysis.files.safe_load import load_torch_file
from analysis.vocabulary import PAYLOAD_NAME, SCHEMA_VERSION, Representation, Statistic, TokenRole

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

MAX_BYTES = 2**29
"""Of a payload, unpacked. The largest backbone's takes 120 MB with all extras."""

MAX_COUNT = 10**15
"""Images or tokens."""

MAX_LAYERS = 256
MAX_TABLE = 2**20
"""Layers times channels: six times those of the largest backbone."""


def save_payload(payload: Mapping[str, Any], path: Path, *, backup: bool = False) -> None:
    """Write the payload and the small JSON beside it, each complete or not at all.

    A reader sees the old files or the new ones, never a part; on failure what stood at `path` is
    untouched.

    Args:
        payload: What `collect_payload` returns.
        path: Where it goes.
        backup: Whether the files that stood there are kept as `<name>.bak`.

    Raises:
        ConfigError: If the folder cannot be made or written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path, backup=backup) as file:
            torch.save(dict(payload), file)
        sidecar = json.dumps(build_sidecar(payload, path), indent=1)
        with replace_file(path.with_suffix(".json"), backup=backup) as file:
            file.write(sidecar.encode())
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written ({error.strerror or error}). "
            "Choose another --output or make room."
        ) from error


def prepare_output(path: Path) -> Path:
    """Make the folder of `path` and check, before hours of work, that it can be written to.

    Raises:
        ConfigError: If it cannot, or `path` is a folder or ends in .json (the sidecar's place).
    """
    if path.is_dir() or path.suffix == ".json":
        raise ConfigError(f"--output {path}: must be a file name, such as {PAYLOAD_NAME}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ConfigError(
            f"--output {path}: its folder cannot be written to ({error.strerror or error}). "
            "Choose another path or change its permissions."
        ) from error
    return path


def build_sidecar(payload: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the facts that label the payload at `path` without reading it (no tensors)."""
    meta = payload["meta"]
    run, backbone, counts, config = (
        meta.get("run", {}),
        meta["backbone"],
        meta["counts"],
        meta["config"],
    )
    version = config.get("version")
    state = path.stat()
    facts = {
        "schema_version": SCHEMA_VERSION,
        "version": None if version is None else str(version),
        "train_all": bool((config.get("train_all") or {}).get("enabled")),
        "backbone": backbone["backbone_name"],
        "used_lora": backbone["used_lora"],
        "lora_error": backbone["lora_error"],
        "num_images": counts["num_images"],
        "num_layers": counts["num_layers"],
        "embedding_dim": counts["embedding_dim"],
        "warnings": len(run.get("warnings", [])),
        "size": state.st_size,
        "mtime_ns": state.st_mtime_ns,
    }
    copied = (
        "config_name created device device_name precision image_size split images_per_second "
        "seconds weights_sha256 adapter_sha256 dataset_fingerprint request_fingerprint"
    )
    return facts | {key: run[key] for key in copied.split() if key in run}


def load_payload(path: Path, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Read a payload without executing anything in it, and check that it is one.

    Args:
        path: The `.pt` file.
        max_bytes: Refuse a file that unpacks to more than this.

    Raises:
        PayloadError: If the file cannot be read, needs more than plain types and tensors, or does
            not have the specification's structure; the message names the key.
    """
    payload = load_torch_file(
        path, kind="payload", error=PayloadError, max_bytes=max_bytes, checksums=True
    )
    validate_payload(payload, path)
    return payload


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
