"""The forward pass in bf16 from matrix products and fused kernels, for a GPU with Triton.

The arithmetic is that of `vit` under autocast, rounded to bf16 at the same places or fewer:
residual sum, LayerScale, LayerNorm and the statistics' moments are one kernel, the rotation of
queries and keys another, SwiGLU's product a third; patches are embedded by a matrix product. It is
as fast as compiled blocks and needs no compiler of graphs.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from analysis.collect.backbone.low_precision import plain_lora
from analysis.collect.backbone.vit import (
    Block,
    DinoVisionTransformer,
    KeyMaskedLinear,
    LayerScale,
    Mlp,
    PatchEmbed,
    SelfAttention,
    SwiGluFfn,
)
from analysis.collect.statistics.moments import RowMoments


def can_fuse(backbone: DinoVisionTransformer) -> bool:
    """Return whether this pass computes what the network's modules compute.

    Not where an adapter has put modules of its own in the place of norms, scales or the patch
    embedding, or one that is not plain LoRA (DoRA, say) in the place of a projection.
    """
    if find_spec("triton") is None or type(backbone.patch_embed.proj) is not nn.Conv2d:
        return False
    blocks = cast("list[Block]", list(backbone.blocks))
    return all(
        {type(module) for module in (block.norm1, block.norm2, backbone.norm)} == {nn.LayerNorm}
        and type(block.ls1) is type(block.ls2) is LayerScale
        and type(block.attn) is SelfAttention
        and type(block.mlp) in (Mlp, SwiGluFfn)
        and all(_is_plain(module) or plain_lora(module) for module in _projections(block))
        for block in blocks
    )


def _projections(block: Block) -> list[nn.Module]:
    parts = [block.attn.qkv, block.attn.proj]
    names = ("fc1", "fc2") if type(block.mlp) is Mlp else ("w1", "w2", "w3")
    return parts + [getattr(block.mlp, name) for name in names]


def _is_plain(module: nn.Module) -> bool:
    return type(module) in (nn.Linear, KeyMaskedLinear)


def run_fused(
    backbone: DinoVisionTransformer, pixels: Tensor
) -> Iterator[tuple[Tensor, RowMoments]]:
    """Yield what `forward_blocks` yields, each with the moments of its tokens.

    Autocast to bf16 must be on until the last item was taken.

    Args:
        backbone: One that `can_fuse` accepts, after `low_precision.cast_linears` to bf16.
        pixels: As of `DinoVisionTransformer.forward_blocks`, on a GPU.
    """
    from analysis.collect.statistics.measured_norm import add_and_normalize, apply_layer_norm

    tokens, sin, cos = backbone.embed(pixels, embed_patches=_embed_patches)
    blocks = cast("list[Block]", list(backbone.blocks))
    norms = [*(block.norm1 for block in blocks), backbone.norm]
    normalized, rows = apply_layer_norm(tokens, norms[0])
    for block, following in zip(blocks, norms[1:], strict=True):
        yield tokens, rows
        branch = _attend(block.attn, normalized, sin, cos)
        tokens, normalized, _ = add_and_normalize(tokens, branch, block.ls1.gamma, block.norm2)
        branch = _feed_forward(block.mlp, normalized)
        # nobody else has seen the sum of before
        tokens, normalized, rows = add_and_normalize(
            tokens, branch, block.ls2.gamma, following, in_place=True
        )
    yield tokens, rows


def _embed_patches(embed: PatchEmbed, pixels: Tensor) -> Tensor:
    """Do what `PatchEmbed` does as a matrix product: ``[B, 3, H, W]`` to ``[B, N, C]``."""
    weight, bias = embed.proj.weight, cast(Tensor, embed.proj.bias)
    size = weight.shape[-1]
    rows, cols = pixels.shape[-2] // size, pixels.shape[-1] // size
    cut = pixels[..., : rows * size, : cols * size].to(torch.bfloat16)
    patches = cut.unflatten(-1, (cols, size)).unflatten(-3, (rows, size))
    flat = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
    return F.linear(flat, weight.flatten(1).to(flat.dtype), bias.to(flat.dtype))


def _attend(attention: SelfAttention, x: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
    from analysis.collect.run.fused_kernels import rotate_in_place

    qkv = project(attention.qkv, x).unflatten(-1, (3, attention.n_heads, -1))
    rotate_in_place(qkv, sin, cos)
    q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
    mixed = F.scaled_dot_product_attention(q, k, v)
    return project(attention.proj, mixed.transpose(1, 2).flatten(2))


def _feed_forward(mlp: Mlp | SwiGluFfn, x: Tensor) -> Tensor:
    if isinstance(mlp, Mlp):
        return project(mlp.fc2, F.gelu(project(mlp.fc1, x)))
    from analysis.collect.run.fused_kernels import gate_in_place

    return project(mlp.w3, gate_in_place(project(mlp.w1, x), project(mlp.w2, x)))


def project(module: nn.Module, x: Tensor) -> Tensor:
    """Apply a projection to ``[B, T, C]``; plain LoRA as two products more, added in place."""
    lora = plain_lora(module)
    base = cast(nn.Linear, module) if lora is None else lora.base
    # the mask of a fused Q, K, V bias is in the bias already
    y = F.linear(x, base.weight, base.bias)
    if lora is None:
        return y
    _, down, up, scale = lora
    y.view(-1, y.shape[-1]).addmm_(F.linear(x, down).flatten(0, -2), up.mT, alpha=scale)
    return y
