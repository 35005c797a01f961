"""Say before a run that its weights or its adapter are those of another backbone.

From names and shapes in the headers only (`file_headers`). What they do not tell is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from analysis.collect.backbone.variants import VARIANTS, Variant
from analysis.collect.plan.file_headers import may_hold_tensors, read_all_shapes, read_shapes
from analysis.errors import ConfigError
from analysis.language import _

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
    channels, depth = _measure(read_all_shapes(weights))
    wrong_depth = depth is not None and depth != variant.depth
    if channels is not None and (channels != variant.embed_dim or wrong_depth):
        raise ConfigError(
            _(
                "{weights}: these weights have {describe}{like}, and {backbone} "
                "has {describe_2}. Give other weights (--dino-weights-pt) or "
                "correct model.backbone."
            ).format(
                weights=weights,
                describe=_describe(channels, depth),
                like=_name_like(channels, depth),
                backbone=backbone,
                describe_2=_describe(variant.embed_dim, variant.depth),
            )
        )
    if head is not None:
        _check_head(head, variant)


def _check_head(head: Path, variant: Variant) -> None:
    path = next((p for p in (head / name for name in _HEAD_FILES) if p.is_file()), head)
    if not may_hold_tensors(path):
        raise ConfigError(
            _("{head}: this is no head; expected a file of tensors. Give another one.").format(
                head=head
            )
        )
    shapes = read_shapes(path) or {}
    widths = {shape[-1] for name, shape in shapes.items() if shape and _READS_STREAM.search(name)}
    blocks = [int(match[1]) for name in shapes if "lora" in name and (match := _BLOCK.search(name))]
    depth = max(blocks, default=-1) + 1
    if widths and variant.embed_dim not in widths:
        width = max(widths)
        raise ConfigError(
            _(
                "{head}: this adapter is for {width:,} channels{like}, and {name} "
                "has {embed_dim:,}. Correct --head-weights or model.backbone."
            ).format(
                head=head,
                width=width,
                like=_name_like(width, None),
                name=variant.name,
                embed_dim=variant.embed_dim,
            )
        )
    if depth > variant.depth:
        raise ConfigError(
            _(
                "{head}: this adapter is for at least {depth} blocks, and {name} "
                "has {variant_depth}. Correct --head-weights or model.backbone."
            ).format(head=head, depth=depth, name=variant.name, variant_depth=variant.depth)
        )
    if any(map(_CLS.search, shapes)) and not any(".lora_" in name for name in shapes):
        raise ConfigError(
            _("{head}: this is a backbone without adapter. Correct --head-weights.").format(
                head=head
            )
        )


def _measure(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int | None, int | None]:
    """Return the channels and the blocks of a backbone; None for what is not told."""
    widths = {shape[-1] for name, shape in shapes.items() if shape and _CLS.search(name)}
    blocks = [int(match[1]) for name in shapes if (match := _BLOCK.search(name))]
    depth = max(blocks) + 1 if blocks else None
    return (widths.pop(), depth) if len(widths) == 1 else (None, None)


def _describe(channels: int, depth: int | None) -> str:
    return _("{channels:,} channels").format(channels=channels) + (
        _(" and {depth} blocks").format(depth=depth) if depth is not None else ""
    )


def _name_like(channels: int, depth: int | None) -> str:
    names = [v.name for v in VARIANTS.values() if v.embed_dim == channels]
    if depth is not None:
        names = [name for name in names if VARIANTS[name].depth == depth]
    return _(", as {names}").format(names=_(" or ").join(names)) if names else ""
