"""Open the file or folder of a checkpoint and find the one backbone in it.

Only names are looked at here: nested dicts, prefixes, training wrappers, shards. Whether names,
shapes and values are right is checked by `weights`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from analysis.collect.backbone.names import name_some
from analysis.collect.backbone.variants import Variant
from analysis.collect.backbone.weights_choice import (
    Candidate,
    build_candidates,
    choose_candidate,
)
from analysis.collect.backbone.weights_folder import (
    INDEX_FILES,
    SINGLE_FILES,
    find_model_folder,
    list_loose_files,
    list_shards,
)
from analysis.collect.backbone.weights_formats import (
    OFFICIAL,
    OFFICIAL_UNMASKED,
    TIMM,
    TIMM_WITHOUT_QKV_BIAS,
    WeightsFormat,
    detect_format,
    strip_wrappers,
)
from analysis.errors import CheckpointError
from analysis.files.atomic import is_folder, is_regular
from analysis.files.digest import sha256_of
from analysis.files.safe_load import (
    is_safetensors,
    load_json_object,
    load_safetensors,
    load_torch_file,
)

KIND = "backbone weights"
MAX_LEVELS = 8
"""Dicts in dicts that are searched for tensors."""

_TRAINING_ONLY = ("dino_head.", "ibot_head.", "dino_loss.", "ibot_patch_loss.", "n_averaged")
"""Starts of names beside an official backbone that nobody misses."""


_NAMELESS = re.compile(r"((?:.*\.)?(?:shadow|ema|averaged?|swa)(?:_?params?|_?parameters)?)\.\d+$")
"""An average that was saved as a list, as torch_ema and diffusers do."""


@dataclass(frozen=True)
class CheckpointContents:
    """The tensors of one backbone, in the names of its format, without prefix."""

    path: Path
    format: WeightsFormat
    prefix: str
    tensors: dict[str, Tensor]
    notices: tuple[str, ...]
    """Sentences on which backbone was chosen, and on what was left aside."""
    by_key: bool = False
    """Whether `--weights-key` took another backbone than the order of the file gives."""


def list_files(path: Path) -> list[Path]:
    """Return the files that hold the tensors: one, or the shards of one model.

    Raises:
        CheckpointError: If a folder holds no weights, or lists shards outside of it.
    """
    if not is_folder(path) and path.suffix != ".distcp":
        return list_shards(path)
    folder = find_model_folder(path)
    for name in SINGLE_FILES:
        if is_regular(folder / name):
            return [folder / name]
    index_path = next((folder / name for name in INDEX_FILES if is_regular(folder / name)), None)
    if index_path is None:
        return list_loose_files(folder)
    index = load_json_object(index_path, kind=KIND, error=CheckpointError)
    shards = index.get("weight_map")
    names = sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
    # An index is a stranger's file too: it must not point out of its own folder.
    if not names or any(Path(name).name != name for name in names):
        raise CheckpointError(
            f"{index_path}: weight_map must give the name of a file in the same folder "
            "for every tensor. Download the folder again."
        )
    return [folder / name for name in names]


def open_checkpoint(
    path: Path, files: list[Path], variant: Variant, key: str | None = None
) -> CheckpointContents:
    """Read the tensors of the files and pick one backbone among them.

    Args:
        path: The file or folder, for messages.
        files: From `list_files`.
        variant: What is to be measured; decides between backbones of several sizes.
        key: `--weights-key`, see `choose_candidate`.

    Raises:
        CheckpointError: If a file cannot be read, or holds no backbone, or several of equal
            standing.
    """
    tensors: dict[str, Tensor] = {}
    for file in files:
        if is_safetensors(file) or file.suffix == ".safetensors":
            tensors |= load_safetensors(file, kind=KIND, error=CheckpointError)
        else:
            loaded = load_torch_file(file, kind=KIND, error=CheckpointError, beside_tensors=True)
            tensors |= dict(_walk(loaded))
    frozen, n_adapter_tensors = strip_wrappers(tensors)
    detected = detect_format(frozen)
    if not detected:
        raise CheckpointError(_describe_strangers(path, frozen))
    candidates = build_candidates(frozen, detected)
    chosen, notices = choose_candidate(str(path), candidates, variant, key)
    own = {name: tensor for name, tensor in chosen.tensors.items() if not _is_aside(chosen, name)}
    return CheckpointContents(
        path,
        _refine(chosen.format, own),
        chosen.prefix,
        own,
        (
            *notices,
            *_describe_adapter_tensors(path, n_adapter_tensors),
            *_describe_nameless_average(path, chosen, frozen),
            *_describe_heads(path, chosen, candidates, frozen),
        ),
        by_key=key is not None and not _is_usual(path, chosen, candidates, variant),
    )


def _is_usual(path: Path, chosen: Candidate, candidates: list[Candidate], variant: Variant) -> bool:
    """Tell whether the same backbone would have been chosen without a key."""
    try:
        return choose_candidate(str(path), candidates, variant, None)[0] is chosen
    except CheckpointError:
        return False


def _walk(loaded: Any, start: str = "", level: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Yield every dense tensor of nested dicts and lists under its keys joined by dots."""
    if not isinstance(loaded, Mapping | list | tuple) or level == MAX_LEVELS:
        return
    for key, value in loaded.items() if isinstance(loaded, Mapping) else enumerate(loaded):
        if isinstance(value, Tensor):
            if value.layout is torch.strided and not value.is_meta and not value.is_nested:
                yield f"{start}{key}", value
        else:
            yield from _walk(value, f"{start}{key}.", level + 1)


def _refine(weights_format: WeightsFormat, own: Mapping[str, Tensor]) -> WeightsFormat:
    """Tell apart files of one format that leave out different parts."""
    if weights_format is TIMM and not any(name.endswith("attn.q_bias") for name in own):
        return TIMM_WITHOUT_QKV_BIAS
    biased = any(name.endswith(".qkv.bias") for name in own)
    if weights_format is OFFICIAL and biased and not any(x.endswith(".bias_mask") for x in own):
        return OFFICIAL_UNMASKED
    return weights_format


def _is_aside(candidate: Candidate, name: str) -> bool:
    return candidate.format.is_aside(name) and not candidate.format.is_dropped(name)


def _describe_strangers(path: Path, names: Mapping[str, Tensor]) -> str:
    learned = next(
        (name for name in names if name.endswith(("pos_embed", "position_embeddings"))), ""
    )
    hint = (
        f" {learned} is the position code of another kind of network (as DINOv2): DINOv3 has none."
        if learned
        else ""
    )
    return (
        f"{path}: no DINOv3 vision transformer in this file. Expected a tensor named "
        "storage_tokens or rope_embed.periods (official), embeddings.register_tokens "
        f"(transformers) or reg_token (timm), under any prefix; found: "
        f"{name_some(list(names)) or 'no tensors'}.{hint}"
    )


def _describe_adapter_tensors(path: Path, count: int) -> tuple[str, ...]:
    if not count:
        return ()
    return (
        f"{path}: {count} tensors of an adapter in the weights file "
        "were left aside: the frozen backbone comes from here, the adapter from the head.",
    )


def _describe_nameless_average(
    path: Path, chosen: Candidate, tensors: Mapping[str, Tensor]
) -> tuple[str, ...]:
    """Say that an average is not measured which was saved as a list, without names."""
    lists = sorted({match[1] for name in tensors if (match := _NAMELESS.match(name))})
    if not lists or lists[0].startswith(chosen.prefix or "\0"):
        return ()
    return (
        f"{path}: {name_some(lists)} is an average of the weights without their names, which "
        f"cannot be used: {chosen.label} is measured. For the average, copy it into the model and "
        "save the state dict of that.",
    )


def _describe_heads(
    path: Path, chosen: Candidate, candidates: list[Candidate], tensors: Mapping[str, Tensor]
) -> tuple[str, ...]:
    """Name what stands beside the backbone in its own network: heads, decoders, losses."""
    network = chosen.prefix.rstrip(".").rpartition(".")[0]
    network = f"{network}." if network else ""
    prefixes = tuple(candidate.prefix for candidate in candidates if candidate.prefix)
    beside = [
        name
        for name in tensors
        if chosen.prefix and name.startswith(network) and not name.startswith(prefixes)
    ]
    if not any(name.partition(".")[2] for name in beside):
        beside = []  # single numbers beside a state dict, as a loss
    inside = [f"{chosen.prefix}{name}" for name in chosen.tensors if _is_aside(chosen, name)]
    aside = [
        name
        for name in (*beside, *inside)
        if not any(f".{start}" in f".{name}" for start in _TRAINING_ONLY)
        and not name.startswith(("optimizer", "scheduler", "lr_scheduler", "callbacks"))
    ]
    if not aside:
        return ()
    return (
        f"{path}: {len(aside)} tensors beside the backbone were left aside (heads are not "
        f"measured): {name_some(aside)}.",
    )


def digest_files(files: list[Path]) -> str:
    """Compute the SHA-256 of one file, or of the names and digests of several."""
    if len(files) == 1:
        return sha256_of(files[0])
    lines = "".join(f"{sha256_of(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()
