"""Painted quadrats on the training device, and random crops of them as training batches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from demo.biomass import GRAMS, TARGETS
from demo.quadrats import COVERS

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
PATCH = 16


@dataclass(frozen=True)
class Collection:
    """Pictures and what every pixel of them shows, on the training device."""

    pixels: Tensor
    """uint8 [n, height, width, 3]."""
    cover: Tensor
    """uint8 [n, height, width]: index into `COVERS`, or `FRAME`."""

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class Batch:
    """Crops and what is to be learned about them."""

    images: Tensor
    """Normalised, float32 [B, 3, h, w]."""
    patch_shares: Tensor
    """[B, patches, 4]: shares of `COVERS` in each patch; zeros where the frame hides all of it."""
    patch_weights: Tensor
    """[B, patches]: how much of each patch the frame leaves open."""
    shares: Tensor
    """[B, 4]: shares of `COVERS` in the crop."""


def normalise(pixels: Tensor) -> Tensor:
    """Turn uint8 ``[B, h, w, 3]`` into ImageNet-normalised float32 ``[B, 3, h, w]``."""
    mean = torch.tensor(MEAN, device=pixels.device)
    std = torch.tensor(STD, device=pixels.device)
    return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


def label(images: Tensor, cover: Tensor) -> Batch:
    """Count the shares of cover codes ``[B, h, w]`` in every patch and in the whole crop."""
    masks = torch.stack([cover == code for code in range(len(COVERS))], dim=1).float()
    counts = F.avg_pool2d(masks, PATCH).flatten(2).transpose(1, 2)
    weights = counts.sum(-1)
    total = counts.sum(1)
    return Batch(
        images,
        counts / weights[..., None].clamp_min(1e-6),
        weights,
        total / total.sum(-1, keepdim=True).clamp_min(1e-6),
    )


def draw_batch(
    collection: Collection, size: int, shape: tuple[int, int], generator: torch.Generator
) -> Batch:
    """Draw random crops of one shape, mirrored at random, with a little colour jitter.

    Args:
        collection: Where the crops come from.
        size: Number of crops.
        shape: Height and width, multiples of the patch size.
        generator: On the CPU, so that every device draws the same crops.
    """
    height, width = collection.cover.shape[1:]
    device = collection.cover.device

    def start(limit: int) -> Tensor:
        return torch.randint(limit + 1, (size, 1), generator=generator)

    def positions(first: Tensor, length: int) -> Tensor:
        steps = torch.arange(length).expand(size, -1)
        mirrored = torch.rand(size, 1, generator=generator) < 0.5
        return (first + torch.where(mirrored, length - 1 - steps, steps)).to(device)

    chosen = torch.randint(len(collection), (size,), generator=generator).to(device)
    rows = positions(start(height - shape[0]), shape[0])
    columns = positions(start(width - shape[1]), shape[1])
    index = (chosen[:, None, None], rows[:, :, None], columns[:, None, :])
    gain = 0.94 + 0.12 * torch.rand(size, 3, 1, 1, generator=generator)
    shift = torch.tensor(MEAN, device=device) / torch.tensor(STD, device=device)
    shift = shift[:, None, None]
    images = (normalise(collection.pixels[index]) + shift) * gain.to(device) - shift
    return label(images, collection.cover[index])


def biomass_of(shares: Tensor) -> Tensor:
    """Compute what `demo.biomass.biomass` does, on a tensor ``[..., 4]`` of any device."""
    grams = torch.tensor([GRAMS[name] for name in TARGETS], device=shares.device)
    covered = shares[..., [3, 1, 2]].clamp(0, 0.97)
    return -torch.log1p(-covered) * grams
