"""The parameters that the training of the demo backbone starts from: random, with a fixed seed.

Trained DINOv3 backbones have a few channels of the residual stream that grow far beyond the others
from the early layers on, hold almost the same value for every image, and are scaled down again by
the output norm. Here they are put in by hand: a constant from the feed-forward bias of some blocks,
and norms whose weights undo what these channels do to the variance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from analysis.collect.backbone.vit import Block, DinoVisionTransformer, SwiGluFfn
from demo.heads import new_backbone

SEED = 20

MASSIVE = {23: 1.0, 87: -0.72, 141: 0.45, 178: -0.2}
"""Channels that dominate the residual stream, and their size relative to the largest."""

GROWTH = {1: 8.0, 2: 60.0, 3: 40.0, 5: 30.0, 7: 25.0, 8: 20.0, 9: 15.0, 11: -60.0}
"""What each block adds to the largest of them."""


def _fill(parameter: Tensor, generator: torch.Generator, mean: float, std: float) -> None:
    with torch.no_grad():
        parameter.copy_(mean + std * torch.randn(parameter.shape, generator=generator))


def _inflation(level: float) -> float:
    """How much the massive channels at ``level`` raise the standard deviation that a norm sees."""
    return (1 + sum((level * size) ** 2 for size in MASSIVE.values()) / 192) ** 0.5


def _fill_block(block: Block, generator: torch.Generator, level: float) -> None:
    """Fill one block whose input holds the massive channels at ``level``."""
    channels = list(MASSIVE)
    for norm in (block.norm1, block.norm2):
        inflation = _inflation(level)
        _fill(norm.weight, generator, inflation, 0.1 * inflation)
        _fill(norm.bias, generator, 0, 0.05)
        with torch.no_grad():
            norm.weight[channels] = 0.1
    for module in block.modules():
        if isinstance(module, nn.Linear):
            _fill(module.weight, generator, 0, module.in_features**-0.5)
            _fill(module.bias, generator, 0, 0.02)
    for scale in (block.ls1, block.ls2):
        with torch.no_grad():
            scale.gamma.copy_(0.15 + 0.35 * torch.rand(192, generator=generator))
            scale.gamma[channels] = 1.0


def random_backbone(seed: int = SEED) -> DinoVisionTransformer:
    """Build the demo backbone with random, trained-like parameters; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    backbone = new_backbone()
    channels, sizes = list(MASSIVE), torch.tensor(list(MASSIVE.values()))
    _fill(backbone.cls_token, generator, 0, 0.5)
    _fill(backbone.storage_tokens, generator, 0, 0.5)
    for name, parameter in backbone.patch_embed.proj.named_parameters():
        _fill(parameter, generator, 0, 0.1 if name == "bias" else 0.02)
    level = 0.0
    for index, block in enumerate(backbone.blocks):
        assert isinstance(block, Block)
        assert isinstance(block.mlp, SwiGluFfn)
        _fill_block(block, generator, level)
        level += GROWTH.get(index, 0.0)
        with torch.no_grad():
            block.mlp.w3.bias[channels] = GROWTH.get(index, 0.0) * sizes
    inflation = _inflation(level)
    _fill(backbone.norm.weight, generator, inflation, 0.1 * inflation)
    _fill(backbone.norm.bias, generator, 0, 0.1)
    with torch.no_grad():
        backbone.norm.weight[channels] = 0.02
    return backbone
