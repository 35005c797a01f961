"""Say before a run that its weights or its adapter are those of another backbone.

From names and shapes in the headers only (`file_headers`). What they do not tell is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from analysis.collect.backbone.variants import VARIANTS, Variant
from analysis.collect.backbone.weights_folder import list_shards
from analysis.collect.plan.file_headers import Shapes, may_hold_tensors, read_shapes
from analysis.errors import ConfigError

_BLOCK = re.compile(r"(?:^|\.)(?:blocks|layers?)\.(\d+)\.")
_CLS = re.compile(r"(?:^|\.)cls_token$")
_READS_STREAM = re.compile(r"(?:qkv|[qkv]_proj|fc1|up_proj|gate_proj|w1|w2)\.lora_A(?:\.|$)")
"""LoRA's first factor of a module whose input is the residual stream: its width is the channels."""
_HEAD_FILES = ("adapter_model.safetensors", "adapter_model.bin")


def check_files(weights: Path, head: Path | None, backbone: str) -> None:
    """Compare the headers of both files with the backbone that the config names.

    Args:
        weights: A file, or a folder that transformers saved.
        head: A head file or a folder of peft; None for the frozen backbone.
        backbone: One of `VARIANTS`.

    Raises:
        ConfigError: If the weights or the adapter are of another size, or the head is no file of
            tensors, or holds a backbone and no adapter.
        CheckpointError: If the weights are one of several shards, and another is missing.
    """
    variant = VARIANTS[backbone]
    channels, depth = _measure(_read_all(weights))
    wrong_depth = depth is not None and depth != variant.depth
    if channels is not None and (channels != variant.embed_dim or wrong_depth):
        raise ConfigError(
            f"{weights}: these weights have {_describe(channels, depth)}"
            f"{_name_like(channels, depth)}, and {backbone} has "
            f"{_describe(variant.embed_dim, variant.depth)}. Give other weights "
            "(--dino-weights-pt) or correct model.backbone."
        )
    if head is not None:
        _check_head(head, variant)


def _check_head(head: Path, variant: Variant) -> None:
    path = next((p for p in (head / name for name in _HEAD_FILES) if p.is_file()), head)
    if not may_hold_tensors(path):
        raise ConfigError(f"{head}: this is no head; expected a file of tensors. Give another one.")
    shapes = read_shapes(path) or {}
    widths = {shape[-1] for name, shape in shapes.items() if shape and _READS_STREAM.search(name)}
    blocks = [int(match[1]) for name in shapes if "lora" in name and (match := _BLOCK.search(name))]
    depth = max(blocks, default=-1) + 1
    if widths and variant.embed_dim not in widths:
        width = max(widths)
        raise ConfigError(
            f"{head}: this adapter is for {width:,} channels{_name_like(width, None)}, and "
            f"{variant.name} has {variant.embed_dim:,}. Correct --head-weights or model.backbone."
        )
    if depth > variant.depth:
        raise ConfigError(
            f"{head}: this adapter is for at least {depth} blocks, and {variant.name} has "
            f"{variant.depth}. Correct --head-weights or model.backbone."
        )
    if any(map(_CLS.search, shapes)) and not any(".lora_" in name for name in shapes):
        raise ConfigError(f"{head}: this is a backbone without adapter. Correct --head-weights.")


def _read_all(path: Path) -> Shapes:
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else list_shards(path)
    return {name: shape for file in files for name, shape in (read_shapes(file) or {}).items()}


def _measure(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int | None, int | None]:
    """Return the channels and the blocks of a backbone; None for what is not told."""
    widths = {shape[-1] for name, shape in shapes.items() if shape and _CLS.search(name)}
    blocks = [int(match[1]) for name in shapes if (match := _BLOCK.search(name))]
    depth = max(blocks) + 1 if blocks else None
    return (widths.pop(), depth) if len(widths) == 1 else (None, None)


def _describe(channels: int, depth: int | None) -> str:
    return f"{channels:,} channels" + (f" and {depth} blocks" if depth is not None else "")


def _name_like(channels: int, depth: int | None) -> str:
    names = [v.name for v in VARIANTS.values() if v.embed_dim == channels]
    if depth is not None:
        names = [name for name in names if VARIANTS[name].depth == depth]
    return f", as {' or '.join(names)}" if names else ""
