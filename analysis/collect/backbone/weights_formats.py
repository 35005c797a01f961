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
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from analysis.collect.backbone.variants import VARIANTS, Variant

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

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
    markers: tuple[str, ...]
    """Names that only this format has; what stands before one of them is a prefix."""
    roots: str
    """Pattern of how the names of the backbone itself begin; other names belong to a head."""
    rows: Rows
    """The first row whose pattern matches an official name gives its names in the file."""
    drops: tuple[str, ...]
    """Patterns of names in the file that evaluation never reads."""
    spellings: tuple[tuple[str, str], ...] = ()
    """Starts of names that some files of the format have, and what the table calls them."""
    masks_key_bias: bool = True
    """Whether the key bias is switched off where the file does not store a mask for it."""

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

    def is_aside(self, name: str) -> bool:
        """Tell whether a tensor belongs to a head that was made an attribute of the backbone.

        What may act inside the backbone (prompts, adapters, positions, parameters without a
        module of their own) is none.
        """
        module, dot, _ = name.partition(".")
        inside = re.match(self.roots, name) or _ACTS_INSIDE.search(module)
        return not inside and (bool(dot) or bool(_HEAD.match(module)))


_ACTS_INSIDE = re.compile(r"prompt|adapter|lora|pos_embed|position|register|token|embed", re.I)
_HEAD = re.compile(r"head|fc|classifier|logit|temperature")

OFFICIAL = WeightsFormat(
    "official",
    markers=("storage_tokens", "rope_embed.periods"),
    roots=r"(cls_token|storage_tokens|mask_token)$|(patch_embed|rope_embed|blocks|norm|cls_norm)\.",
    rows=((r"mask_token", ()), *_SAME),
    drops=(r"mask_token", r"local_cls_norm\..+", r"dino_head\..+", r"ibot_head\..+"),
)

# The official recipe for ImageNet-1k trains without a mask of the key bias.
OFFICIAL_UNMASKED = WeightsFormat(
    "official without bias mask",
    markers=OFFICIAL.markers,
    roots=OFFICIAL.roots,
    rows=((r"blocks\.\d+\.attn\.qkv\.bias_mask", ()), *OFFICIAL.rows),
    drops=OFFICIAL.drops,
    masks_key_bias=False,
)

TRANSFORMERS = WeightsFormat(
    "transformers",
    markers=("embeddings.register_tokens",),
    roots=r"(embeddings|layer|norm|rope_embeddings)\.",
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
    markers=("reg_token", "blocks.0.gamma_1"),
    roots=r"(cls_token|reg_token)$|(patch_embed|rope|blocks|norm)\.",
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
    drops=(),
)

# timm publishes most variants twice; the plain ones leave the biases of Q and V out altogether.
TIMM_WITHOUT_QKV_BIAS = WeightsFormat(
    "timm without qkv bias",
    markers=TIMM.markers,
    roots=TIMM.roots,
    rows=((r"blocks\.\d+\.attn\.qkv\.bias", ()), *TIMM.rows),
    drops=TIMM.drops,
)

FORMATS = (OFFICIAL, TRANSFORMERS, TIMM)

# torch.compile, FSDP, activation checkpointing and peft put their own level into the names.
_WRAPPERS = re.compile(
    r"(?<![^.])"
    r"(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|base_layer|original_module)\."
)
# DataParallel's level is usually a prefix, but any part of a backbone can be wrapped too.
_INNER_WRAPPER = re.compile(
    r"((?:^|\.)(?:blocks|layer|patch_embed|rope_embed|embeddings|norm|cls_norm)\.(?:.*?\.)?)module\."
)
_ADAPTER = re.compile(r"\.(?:lora_|modules_to_save\.)")
_LEARNED_POSITIONS = ("pos_embed", "embeddings.position_embeddings")


def strip_wrappers(tensors: Mapping[str, T]) -> tuple[dict[str, T], int]:
    """Take training wrappers out of the names, and the tensors of a LoRA adapter out altogether.

    A name that would then stand for two tensors keeps its wrapper.

    Returns:
        The tensors of the frozen network, and how many tensors of an adapter were left out.
    """
    frozen: dict[str, T] = {}
    n_adapter = 0
    for name, tensor in tensors.items():
        if _ADAPTER.search(name):
            n_adapter += 1
            continue
        plain = _strip_inner(_WRAPPERS.sub("", name))
        frozen[name if plain in frozen or (plain != name and plain in tensors) else plain] = tensor
    return frozen, n_adapter


def _strip_inner(name: str) -> str:
    while ".module." in name:
        shorter = _INNER_WRAPPER.sub(r"\1", name)
        if shorter == name:
            break
        name = shorter
    return name


def detect_format(names: Collection[str]) -> list[tuple[WeightsFormat, str]]:
    """Find every backbone among the names of a file, each as its format and its prefix.

    Networks with learned positions (DINOv2 and most other vision transformers) are none.
    """
    found = {
        (weights_format.name, name.removesuffix(marker)): weights_format
        for name in names
        for weights_format in FORMATS
        for marker in weights_format.markers
        if name == marker or name.endswith(f".{marker}")
    }
    return [
        (weights_format, prefix)
        for (_, prefix), weights_format in found.items()
        if not any(f"{prefix}{positions}" in names for positions in _LEARNED_POSITIONS)
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
