"""A network whose channel 7 answers to red and to nothing else, and a data set with one red square.

The patch embedding of channel 7 weighs red against green and blue; every LayerScale is zero, so
that blocks pass on what enters. What a page points at can be known beforehand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from analysis.collect.backbone.vit import DinoVisionTransformer
from tests.factories.backbones import make_backbone
from tests.factories.projects import BACKBONE, make_project

CHANNEL = 7
IMAGES = 9
SIZE = (96, 64)
GRID = (4, 6)
RED_IMAGE = 2
RED_PATCH = (1, 4)
RED_INDEX = RED_PATCH[0] * GRID[1] + RED_PATCH[1]


def make_red_network() -> DinoVisionTransformer:
    """Build the network, in evaluation mode."""
    backbone = make_backbone(BACKBONE, seed=7)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if name.endswith(("ls1.gamma", "ls2.gamma")):
                parameter.zero_()
        weight, bias = backbone.patch_embed.proj.weight, backbone.patch_embed.proj.bias
        assert bias is not None
        weight.copy_(1e-4 * torch.randn(weight.shape, generator=generator))
        bias.copy_(0.1 * torch.randn(bias.shape, generator=generator))
        weight[CHANNEL] = torch.tensor([1.0, -0.5, -0.5]).view(3, 1, 1) / 16
        bias[CHANNEL] = 0
        backbone.cls_token[..., CHANNEL] = 0
        backbone.storage_tokens[..., CHANNEL] = 0
        backbone.storage_tokens[0, 2, CHANNEL] = -500  # one register holds the channel too
    return backbone


def make_red_project(project: Path) -> Path:
    """Write a project dir of grey photographs, one of them with a red square one patch large."""
    make_project(project, images=IMAGES, size=SIZE, lora=False, weights=False)
    torch.save(make_red_network().state_dict(), project / "weights" / f"{BACKBONE}_red.pth")
    for number in range(IMAGES):
        draw_grey(number, red=number == RED_IMAGE).save(
            project / "data" / "train" / f"ID{number:04d}.jpg", quality=95, subsampling=0
        )
    return project


def draw_grey(seed: int, *, red: bool) -> Image.Image:
    """Draw grey noise, with the red square or without."""
    height, width = SIZE[1], SIZE[0]
    grey = np.random.default_rng(seed).integers(90, 160, (height, width, 1), dtype=np.uint8)
    pixels = grey.repeat(3, axis=2)
    if red:
        top, left = 16 * RED_PATCH[0], 16 * RED_PATCH[1]
        pixels[top : top + 16, left : left + 16] = (230, 20, 20)
    return Image.fromarray(pixels)
