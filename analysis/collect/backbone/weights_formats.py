"""Where each weights format keeps every official parameter: one small table per format.

A table reads "official name -> the names in the file that it is made of". Several names are
stacked along the first axis; `FILL` stands for what the format does not store and a formula
gives; an empty tuple is made by formula as a whole. What is neither read nor dropped is an error
of the file.

Sources of the names: the released DINOv3 checkpoints; transformers' `dinov3_vit` model; timm's
`eva` model, which holds its DINOv3 weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from analysis.collect.backbone.variants import VARIANTS, Variant

FILL = ""
"""Stands for a part that the file does not have: the K third of the bias of `attn.qkv`."""

Rows = tuple[tuple[str, tuple[str, ...]], ...]
"""Pairs of a pattern for official names and the names that the file has for them."""

_BY_FORMULA: Rows = (
    (r"mask_token", ()),
    (r"rope_embed\.periods", ()),
    (r"blocks\.\d+\.attn\.qkv\.bias_mask", ()),
)
_SAME: Rows = ((r".+", (r"\g<0>",)),)
_HF_ATTENTION = r"layer.\1.attention."


@dataclass(frozen=True)
class WeightsFormat:
    """How one kind of file names the parameters of a backbone."""

    name: str
    marker: str
    """The registers' name, which tells the formats apart; what stands before it is a prefix."""
    rows: Rows
    """The first row whose pattern matches an official name gives its names in the file."""
    drops: tuple[str, ...]
    """Patterns of names in the file that evaluation never reads."""
    spellings: tuple[tuple[str, str], ...] = ()
    """Starts of names that some files of the format have, and what the table calls them."""

    def sources(self, official: str) -> tuple[str, ...]:
        """Name the tensors of the file that make up one official tensor, in stacking order."""
        for pattern, names in self.rows:
            match = re.fullmatch(pattern, official)
            if match:
                return tuple(match.expand(name) for name in names)
        return (official,)

    def spell(self, name: str) -> str:
        """Turn a name of the file (without prefix) into the spelling of the table."""
        for start, usual in self.spellings:
            if name.startswith(start):
                return usual + name.removeprefix(start)
        return name

    def is_dropped(self, name: str) -> bool:
        """Tell whether evaluation never reads the tensor of this name in the file."""
        return any(re.fullmatch(pattern, name) for pattern in self.drops)


OFFICIAL = WeightsFormat(
    "official",
    marker="storage_tokens",
    rows=((r"mask_token", ()), *_SAME),
    drops=(r"mask_token", r"local_cls_norm\..+", r"dino_head\..+", r"ibot_head\..+"),
)

TRANSFORMERS = WeightsFormat(
    "transformers",
    marker="embeddings.register_tokens",
    rows=(
        *_BY_FORMULA,
        (r"cls_token", ("embeddings.cls_token",)),
        (r"storage_tokens", ("embeddings.register_tokens",)),
        (r"patch_embed\.proj\.(\w+)", (r"embeddings.patch_embeddings.\1",)),
        (
            r"blocks\.(\d+)\.attn\.qkv\.weight",
            tuple(rf"{_HF_ATTENTION}{x}_proj.weight" for x in "qkv"),
        ),
        (
            r"blocks\.(\d+)\.attn\.qkv\.bias",
            (rf"{_HF_ATTENTION}q_proj.bias", FILL, rf"{_HF_ATTENTION}v_proj.bias"),
        ),
        (r"blocks\.(\d+)\.attn\.proj\.(\w+)", (rf"{_HF_ATTENTION}o_proj.\2",)),
        (r"blocks\.(\d+)\.ls(\d)\.gamma", (r"layer.\1.layer_scale\2.lambda1",)),
        (r"blocks\.(\d+)\.mlp\.(?:fc1|w2)\.(\w+)", (r"layer.\1.mlp.up_proj.\2",)),
        (r"blocks\.(\d+)\.mlp\.w1\.(\w+)", (r"layer.\1.mlp.gate_proj.\2",)),
        (r"blocks\.(\d+)\.mlp\.(?:fc2|w3)\.(\w+)", (r"layer.\1.mlp.down_proj.\2",)),
        (r"blocks\.(\d+)\.(norm\d\.\w+)", (r"layer.\1.\2",)),
        *_SAME,
    ),
    drops=(r"embeddings\.mask_token",),
    # The model in memory has one level more than the file that it saves.
    spellings=(("model.layer.", "layer."),),
)

TIMM = WeightsFormat(
    "timm",
    marker="reg_token",
    rows=(
        *_BY_FORMULA,
        (r"storage_tokens", ("reg_token",)),
        (
            r"blocks\.(\d+)\.attn\.qkv\.bias",
            (r"blocks.\1.attn.q_bias", FILL, r"blocks.\1.attn.v_bias"),
        ),
        (r"blocks\.(\d+)\.ls(\d)\.gamma", (r"blocks.\1.gamma_\2",)),
        (r"blocks\.(\d+)\.mlp\.w1\.(\w+)", (r"blocks.\1.mlp.fc1_g.\2",)),
        (r"blocks\.(\d+)\.mlp\.w2\.(\w+)", (r"blocks.\1.mlp.fc1_x.\2",)),
        (r"blocks\.(\d+)\.mlp\.w3\.(\w+)", (r"blocks.\1.mlp.fc2.\2",)),
        *_SAME,
    ),
    drops=(r"head\..+",),
)

# timm publishes most variants twice; the plain ones leave the biases of Q and V out altogether.
TIMM_WITHOUT_QKV_BIAS = WeightsFormat(
    "timm without qkv bias",
    marker=TIMM.marker,
    rows=((r"blocks\.\d+\.attn\.qkv\.bias", ()), *TIMM.rows),
    drops=TIMM.drops,
)

FORMATS = (OFFICIAL, TRANSFORMERS, TIMM)

# torch.compile, FSDP, activation checkpointing and peft put their own level into the names.
_WRAPPERS = re.compile(
    r"(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|base_layer|original_module)\."
)
_ADAPTER = re.compile(r"\.lora_|\.modules_to_save\.")


def strip_wrappers(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], int]:
    """Take training wrappers out of the names, and the tensors of a LoRA adapter out altogether.

    Returns:
        The tensors of the frozen network, and how many tensors of an adapter were left out.
    """
    frozen = {
        _WRAPPERS.sub("", name): tensor
        for name, tensor in tensors.items()
        if not _ADAPTER.search(name)
    }
    return frozen, len(tensors) - len(frozen)


def detect_format(names: Iterable[str]) -> list[tuple[WeightsFormat, str]]:
    """Find every backbone among the names of a file, each as its format and its prefix."""
    return [
        (weights_format, name.removesuffix(weights_format.marker))
        for name in names
        for weights_format in FORMATS
        if name == weights_format.marker or name.endswith(f".{weights_format.marker}")
    ]


def describe_sizes(
    weights_format: WeightsFormat, tensors: Mapping[str, Tensor]
) -> tuple[str | None, str]:
    """Tell from the shapes in a file which variant it looks like.

    Args:
        weights_format: The format of the file.
        tensors: Its tensors, without prefix.

    Returns:
        The variant's name, None if it is none that is known; and the sizes in words.
    """

    def shape(official: str) -> Sequence[int]:
        tensor = tensors.get(weights_format.sources(official)[0])
        return () if tensor is None else tensor.shape

    width = next(iter(reversed(shape("cls_token"))), 0)
    depth = 0
    while shape(f"blocks.{depth}.norm1.weight"):
        depth += 1
    gated = shape("blocks.0.mlp.w1.weight")
    # transformers names the hidden layer of both kinds alike, so the gate decides.
    ffn, hidden = ("swiglu", gated) if gated else ("mlp", shape("blocks.0.mlp.fc1.weight"))
    sizes = (width, depth, ffn, next(iter(hidden), 0))
    facts = f"{width} channels, {depth} blocks, {ffn} of width {sizes[3]}"
    known = (variant.name for variant in VARIANTS.values() if _sizes_of(variant) == sizes)
    return next(known, None), facts


def _sizes_of(variant: Variant) -> tuple[int, int, str, int]:
    return variant.embed_dim, variant.depth, variant.ffn, variant.ffn_hidden
