"""Read the weights of a backbone from any format that DINOv3 comes in, strictly.

Strictly means: every tensor of the network is found in the file with its exact shape, or made by
the formula that the format leaves out; nothing in the file is left over; nothing is NaN or
infinite. Otherwise the file is refused and the message names the tensors. Parameters become
float32 whatever the precision of the file.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from analysis.collect.backbone.names import compare_tensors
from analysis.collect.backbone.variants import Variant, get_variant
from analysis.collect.backbone.vit import DinoVisionTransformer, key_bias_mask, rope_periods
from analysis.collect.backbone.weights_file import (
    KIND,
    CheckpointContents,
    digest_files,
    list_files,
    open_checkpoint,
)
from analysis.collect.backbone.weights_formats import (
    FILL,
    OFFICIAL,
    OFFICIAL_UNMASKED,
    TRANSFORMERS,
    WeightsFormat,
    describe_sizes,
)
from analysis.errors import CheckpointError
from analysis.files.digest import in_background
from analysis.files.safe_load import load_json_object
from analysis.vocabulary import LAYER_NORM_EPS

_PACKED = (getattr(torch, "float4_e2m1fn_x2", None),)
"""Two numbers in a byte: a floating type to torch, which cannot convert it."""


@dataclass(frozen=True)
class WeightsInfo:
    """Where the parameters of a backbone came from."""

    path: Path
    format: str
    """The format's name, and under which keys of the file the backbone was found."""
    digest: Future[str]
    """SHA-256 of the file; of the names and digests of all files where a folder holds several."""
    untied_norms: bool
    """Whether CLS and storage tokens have an output norm of their own."""
    notices: tuple[str, ...] = ()
    """Sentences on what was left aside."""
    chosen: str | None = None
    """Prefix of the backbone that `--weights-key` chose; None for the usual one."""

    @property
    def sha256(self) -> str:
        """The digest; of it and the prefix where `--weights-key` chose. May wait for seconds."""
        digest = self.digest.result()
        if self.chosen is None:
            return digest
        # student and teacher of one file are not the same weights
        return hashlib.sha256(f"{digest}  {self.chosen}".encode()).hexdigest()


def load_backbone(
    name: str, path: Path, device: str | torch.device = "cpu", *, key: str | None = None
) -> tuple[DinoVisionTransformer, WeightsInfo]:
    """Build the backbone of this name with the weights of a file or folder.

    Args:
        name: A name of `analysis.collect.backbone.variants.VARIANTS`.
        path: A `.pt`, `.pth`, `.ckpt` or `.safetensors` file, or a folder that transformers saved.
        device: Where the parameters go; the host never holds a second copy of them.
        key: Which backbone of a file with several (`--weights-key`); None for the usual order.

    Returns:
        The backbone (float32, evaluation mode, no gradients) and where its weights came from.

    Raises:
        ConfigError: If no backbone has this name.
        CheckpointError: If the file cannot be read, is of no known format, holds another variant,
            lacks a tensor, has one too many or one of another shape, or a value is not finite.
    """
    variant = get_variant(name)
    files = list_files(path)
    contents = open_checkpoint(path, files, variant, key)
    variant = _adapt_variant(variant, contents)
    untied = "cls_norm.weight" in contents.tensors
    backbone = DinoVisionTransformer(variant, untied_norms=untied, device="meta")
    _check_config(path, contents.format, variant)
    _check_names_and_shapes(contents, backbone)
    digest = in_background(partial(digest_files, files))  # seconds, for which no batch waits
    _allocate(backbone, device)
    _fill(backbone, contents)
    info = WeightsInfo(
        path=path,
        format=contents.format.name + (f" under {contents.prefix}" if contents.prefix else ""),
        digest=digest,
        untied_norms=untied,
        notices=(*contents.notices, *_describe_registers(contents, variant, get_variant(name))),
        chosen=contents.prefix if contents.by_key else None,
    )
    return backbone.eval().requires_grad_(False), info


def _adapt_variant(variant: Variant, contents: CheckpointContents) -> Variant:
    """Take from the file what training recipes of one size differ in."""
    (name,) = contents.format.sources("storage_tokens")
    tokens = contents.tensors.get(name)
    count = 0 if tokens is None else tokens.shape[1] if tokens.ndim == 3 else -1
    if count >= 0:
        variant = replace(variant, n_storage_tokens=count)
    if contents.format in (OFFICIAL, OFFICIAL_UNMASKED):
        variant = replace(variant, qkv_bias="blocks.0.attn.qkv.bias" in contents.tensors)
    return variant


def _describe_registers(
    contents: CheckpointContents, variant: Variant, released: Variant
) -> tuple[str, ...]:
    if variant.n_storage_tokens == released.n_storage_tokens:
        return ()
    return (
        f"{contents.path}: these weights have {variant.n_storage_tokens} storage tokens "
        f"(registers), the released {variant.name} has {released.n_storage_tokens}; the network "
        "is built as the file has it.",
    )


def _check_config(path: Path, weights_format: WeightsFormat, variant: Variant) -> None:
    """Compare what the names and shapes of a transformers model do not tell."""
    config_path = (path if path.is_dir() else path.parent) / "config.json"
    if weights_format is not TRANSFORMERS or not config_path.is_file():
        return
    config = load_json_object(config_path, kind=KIND, error=CheckpointError)
    if config.get("model_type") != "dinov3_vit":
        return
    expected = {
        "num_attention_heads": variant.n_heads,
        "patch_size": variant.patch_size,
        "rope_theta": variant.rope_base,
        "layer_norm_eps": LAYER_NORM_EPS,
        "hidden_act": "gelu" if variant.ffn == "mlp" else "silu",
    }
    wrong = [
        f"{key} is {config[key]!r}, expected {value!r}"
        for key, value in expected.items()
        if key in config and config[key] != value
    ]
    if wrong:
        raise CheckpointError(
            f"{config_path}: this is not the architecture of {variant.name}: {'; '.join(wrong)}."
        )


def _check_names_and_shapes(contents: CheckpointContents, backbone: DinoVisionTransformer) -> None:
    form, variant = contents.format, backbone.variant
    wanted: dict[str, list[int]] = {}
    for official, target in backbone.state_dict().items():
        sources = form.sources(official)
        if not target.numel() and sources[0] not in contents.tensors:
            continue  # no registers
        for source in filter(None, sources):
            wanted[source] = [len(target) // len(sources), *target.shape[1:]]
    found = {
        name: tensor.shape for name, tensor in contents.tensors.items() if not form.is_dropped(name)
    }
    faults = compare_tensors(found, wanted)
    if faults is None:
        return
    looks_like, facts = describe_sizes(form, contents.tensors)
    if looks_like not in (None, variant.name):
        raise CheckpointError(
            f"{contents.path}: these weights are not those of {variant.name}, they look like "
            f"{looks_like} ({facts}). Give other weights (--dino-weights-pt) or correct "
            "model.backbone."
        )
    raise CheckpointError(
        f"{contents.path}: these {form.name} weights ({facts}) do not fit {variant.name}. "
        f"{faults}. Expected the complete backbone and nothing else."
    )


def _allocate(backbone: DinoVisionTransformer, device: torch.device | str) -> None:
    """Give the parameters memory; `to_empty` would import a compiler for that, a second of work."""
    empty = {
        name: torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
        for name, tensor in backbone.state_dict().items()
    }
    backbone.load_state_dict(empty, assign=True)


@torch.no_grad()
def _fill(backbone: DinoVisionTransformer, contents: CheckpointContents) -> None:
    filled: list[tuple[str, Tensor]] = []
    for official, target in backbone.state_dict().items():
        sources = contents.format.sources(official)
        if not target.numel():
            continue
        if not sources:
            target.copy_(_by_formula(official, backbone.variant, contents.format))
            continue
        for source, part in zip(sources, target.chunk(len(sources)), strict=True):
            if source == FILL:
                part.zero_()
                continue
            tensor = contents.tensors[source]
            if not tensor.is_floating_point() or tensor.dtype in _PACKED:
                raise CheckpointError(
                    f"{contents.path}: {source} is {tensor.dtype}, expected floating-point "
                    "numbers. Quantised weights cannot be measured; use the originals."
                )
            # On a GPU in the precision of the file: half. Not through pinned memory, since pinning
            # costs more than it saves (benchmarks/README.md).
            part.copy_(tensor.to(part.device))
            filled.append((source, part))
    _require_finite(contents, filled)


def _require_finite(contents: CheckpointContents, filled: list[tuple[str, Tensor]]) -> None:
    """Refuse values that are NaN or infinite in float32, which a float64 value can become.

    The sum of a tensor that holds one is one too, and takes a tenth of the time. All sums are read
    at once, since every look at a GPU waits for it.
    """
    if not filled:
        return
    sums = torch.stack([part.sum() for _, part in filled]).isfinite().tolist()
    for (source, part), finite in zip(filled, sums, strict=True):
        if not finite and (n_bad := int((~part.isfinite()).sum())):
            raise CheckpointError(
                f"{contents.path}: {source} holds {n_bad} NaN or infinite values, so every "
                "statistic would be NaN. Use a checkpoint from before the training diverged."
            )


def _by_formula(official: str, variant: Variant, weights_format: WeightsFormat) -> Tensor:
    """Make what a format does not store; a bias or mask token that is not there counts as zero."""
    if official == "rope_embed.periods":
        return rope_periods(variant)
    if official.endswith(".bias_mask"):
        mask = key_bias_mask(variant.embed_dim)
        return mask if weights_format.masks_key_bias else torch.ones_like(mask)
    return torch.zeros(())
