"""Open the file or folder of a checkpoint and find the one backbone in it.

Only names are looked at here: nested dicts, prefixes, training wrappers, shards. Whether names,
shapes and values are right is checked by `checkpoints`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from analysis.collect.backbone.names import name_some
from analysis.collect.backbone.weights_formats import (
    TIMM,
    TIMM_WITHOUT_QKV_BIAS,
    WeightsFormat,
    detect_format,
    strip_wrappers,
)
from analysis.errors import CheckpointError
from analysis.files.atomic import is_folder, is_regular
from analysis.files.safe_load import (
    is_safetensors,
    load_json_object,
    load_safetensors,
    load_torch_file,
    sha256_of,
)

KIND = "backbone weights"
_NESTS = ("teacher", "state_dict", "model")
_SINGLE_FILE = "model.safetensors"
_SHARD_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class CheckpointContents:
    """The tensors of one backbone, in the names of its format, without prefix."""

    path: Path
    format: WeightsFormat
    prefix: str
    tensors: dict[str, Tensor]
    n_adapter_tensors: int


def list_files(path: Path) -> list[Path]:
    """Return the files that hold the tensors: one, or the shards of a transformers folder."""
    if not is_folder(path):
        return [path]
    if is_regular(path / _SINGLE_FILE):
        return [path / _SINGLE_FILE]
    if not is_regular(path / _SHARD_INDEX):
        raise CheckpointError(
            f"{path}: this folder holds neither {_SINGLE_FILE} nor {_SHARD_INDEX}. Expected a "
            "folder saved by transformers, or name the weights file itself."
        )
    index = load_json_object(path / _SHARD_INDEX, kind=KIND, error=CheckpointError)
    shards = index.get("weight_map")
    names = sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
    # An index is a stranger's file too: it must not point out of its own folder.
    if not names or any(Path(name).name != name for name in names):
        raise CheckpointError(
            f"{path / _SHARD_INDEX}: weight_map must give the name of a file in the same folder "
            "for every tensor. Download the folder again."
        )
    return [path / name for name in names]


def open_checkpoint(path: Path, files: list[Path]) -> CheckpointContents:
    """Read the tensors of the files and pick the one backbone among them.

    Raises:
        CheckpointError: If a file cannot be read, or holds no backbone or several.
    """
    tensors: dict[str, Tensor] = {}
    nest = ""
    for file in files:
        if is_safetensors(file) or file.suffix == ".safetensors":
            tensors |= load_safetensors(file, kind=KIND, error=CheckpointError)
        else:
            loaded = load_torch_file(file, kind=KIND, error=CheckpointError)
            found, nest = _find_tensors(loaded)
            tensors |= found
    frozen, n_adapter_tensors = strip_wrappers(tensors)
    found_formats = detect_format(frozen)
    # A training checkpoint may hold student and teacher; the teacher is the one that is released.
    teachers = [(form, prefix) for form, prefix in found_formats if prefix.startswith("teacher.")]
    if len(found_formats) > 1 and len(teachers) == 1:
        found_formats = teachers
    if not found_formats:
        raise CheckpointError(
            f"{path}: no DINOv3 vision transformer in this file. Expected a tensor named "
            "storage_tokens (official), embeddings.register_tokens (transformers) or reg_token "
            f"(timm); found: {name_some(list(frozen)) or 'no tensors'}."
        )
    if len(found_formats) > 1:
        prefixes = [prefix or "(none)" for _, prefix in found_formats]
        raise CheckpointError(
            f"{path}: this file holds {len(prefixes)} backbones, under {name_some(prefixes)}. "
            "Save the one to measure as a state dict of its own."
        )
    weights_format, prefix = found_formats[0]
    own = {
        weights_format.spell(name.removeprefix(prefix)): tensor
        for name, tensor in frozen.items()
        if name.startswith(prefix)
    }
    if weights_format is TIMM and not any(name.endswith("attn.q_bias") for name in own):
        weights_format = TIMM_WITHOUT_QKV_BIAS
    return CheckpointContents(path, weights_format, nest + prefix, own, n_adapter_tensors)


def _find_tensors(loaded: Any, depth: int = 3) -> tuple[dict[str, Tensor], str]:
    """Return the innermost state dict and the keys that lead to it, each followed by a dot."""
    if not isinstance(loaded, Mapping) or depth == 0:
        return {}, ""
    for key in _NESTS:
        tensors, nest = _find_tensors(loaded.get(key), depth - 1)
        if tensors:
            return tensors, f"{key}.{nest}"
    own = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    return own, ""


def digest_files(files: list[Path]) -> str:
    """Compute the SHA-256 of one file, or of the names and digests of several."""
    if len(files) == 1:
        return sha256_of(files[0])
    lines = "".join(f"{sha256_of(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()
