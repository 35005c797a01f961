"""Backbones with random parameters that behave as trained ones do.

Fresh initialisation hides mistakes: zero biases, LayerScale at 1e-5 and unit norms make a wrong
bias, a wrong activation or a swapped norm invisible. Here every parameter matters.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn

from analysis.collect.backbone.variants import Variant, get_variant
from analysis.collect.backbone.vit import (
    DinoVisionTransformer,
    KeyMaskedLinear,
    LayerScale,
    RopePositionEmbedding,
    key_bias_mask,
    rope_periods,
)

OUTLIER_CHANNELS = (5, 17, 29)
"""Massive channels of every backbone of `make_backbone`: one constant in all patches, one that
grows with depth, one in CLS and storage tokens only."""


def tiny_variant(
    depth: int = 2,
    dim: int = 48,
    n_heads: int = 3,
    ffn: Literal["mlp", "swiglu"] = "mlp",
    **changes: Any,
) -> Variant:
    """Describe a backbone that runs in milliseconds; ``changes`` set any other field."""
    return replace(Variant("tiny", dim, depth, n_heads, ffn), **changes)


def make_backbone(
    variant: str | Variant = "tiny",
    seed: int = 0,
    *,
    depth: int | None = None,
    untied_norms: bool = False,
) -> DinoVisionTransformer:
    """Build a backbone on the CPU, in evaluation mode, with trained-like random parameters.

    Non-zero biases (the masked K bias included), LayerScale between 0.05 and 1, norms away from
    one and zero, three massive channels, periods rounded to bf16 as the released checkpoints
    store them. The same arguments give the same parameters.

    Args:
        variant: A name of `VARIANTS`, ``"tiny"``, or a `Variant`.
        seed: Of the parameters.
        depth: Builds fewer blocks than the variant has.
        untied_norms: Adds `cls_norm`.
    """
    if isinstance(variant, str):
        variant = tiny_variant() if variant == "tiny" else get_variant(variant)
    if depth is not None:
        variant = replace(variant, depth=depth)
    backbone = DinoVisionTransformer(variant, untied_norms=untied_norms, device="meta")
    backbone.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in backbone.modules():
            _fill(module, variant, generator)
        for token in (backbone.cls_token, backbone.storage_tokens, backbone.mask_token):
            token.normal_(std=0.5, generator=generator)
        _plant_outliers(backbone)
    return backbone.eval()


def _fill(module: nn.Module, variant: Variant, generator: torch.Generator) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d):
        fan_in = module.weight[0].numel()
        module.weight.normal_(std=fan_in**-0.5, generator=generator)
        if module.bias is not None:
            module.bias.normal_(std=0.2, generator=generator)
    if isinstance(module, KeyMaskedLinear) and module.bias is not None:
        module.bias_mask.copy_(key_bias_mask(variant.embed_dim))
        # Checkpoints may hold anything where the mask is zero.
        module.bias[variant.embed_dim : 2 * variant.embed_dim].mul_(25)
    if isinstance(module, nn.LayerNorm):
        module.weight.uniform_(0.3, 1.7, generator=generator)
        module.bias.normal_(std=0.2, generator=generator)
    if isinstance(module, LayerScale):
        module.gamma.uniform_(math.log(0.05), 0, generator=generator).exp_()
    if isinstance(module, RopePositionEmbedding):
        module.periods.copy_(rope_periods(variant).bfloat16().float())


def _plant_outliers(backbone: DinoVisionTransformer) -> None:
    constant, growing, prefix_only = OUTLIER_CHANNELS
    bias = backbone.patch_embed.proj.bias
    assert bias is not None
    bias[constant] = 60
    for name, parameter in backbone.named_parameters():
        if name.endswith(("mlp.fc2.bias", "mlp.w3.bias")):
            parameter[growing] -= 40
    backbone.cls_token[..., prefix_only] = 120
    backbone.storage_tokens[..., prefix_only] = -250
