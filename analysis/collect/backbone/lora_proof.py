"""Prove that an adapter acts: how far it moves every layer's output. Needs peft.

A network under the label "LoRA" that computes what the frozen one computes is a common accident
and raises nothing. Zero ``lora_B`` is not the test, since DoRA acts through its magnitudes too;
the outputs are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from analysis.collect.backbone.vit import DinoVisionTransformer


@torch.no_grad()
def measure_lora_proof(backbone: DinoVisionTransformer, pixels: Tensor) -> list[float]:
    """Measure the relative change of each block's output, adapter on against off.

    ``||on - off||_F / ||off||_F`` over all images and tokens. Both networks walk through the
    blocks side by side, one image at a time, so that little memory is needed.

    Args:
        backbone: A backbone to which `attach_adapter` attached an adapter. It comes back as it
            was, adapter on.
        pixels: Normalised images, float ``[n, 3, H, W]``, on the device of the backbone.

    Returns:
        One number per block, 0.0 where not a bit changes.
    """
    change = torch.zeros(backbone.depth, dtype=torch.float64, device=pixels.device)
    size = torch.zeros_like(change)
    switches = _find_switches(backbone)
    for image in pixels.split(1):
        on, off = backbone.forward_blocks(image), backbone.forward_blocks(image)
        for layer in range(-1, backbone.depth):
            adapted = next(on)
            with _adapter_off(switches):
                frozen = next(off)
            if layer >= 0:
                change[layer] += (adapted - frozen).double().square().sum()
                size[layer] += frozen.double().square().sum()
    backbone.requires_grad_(False)
    return [
        math.sqrt(moved / total) if total else (math.inf if moved else 0.0)
        for moved, total in zip(change.tolist(), size.tolist(), strict=True)
    ]


def describe_lora_proof(proof: list[float] | None) -> str | None:
    """Return the warning that an adapter without any effect deserves, else None."""
    if proof is None or any(proof):
        return None
    return (
        "The adapter was attached, but it changes no layer's output on the proof images: its "
        "weights are as good as untrained. Check that the head is the trained one."
    )


def _find_switches(backbone: nn.Module) -> list[nn.Module]:
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    kinds = (BaseTunerLayer, AuxiliaryTrainingWrapper)
    return [module for module in backbone.modules() if isinstance(module, kinds)]


@contextmanager
def _adapter_off(switches: list[nn.Module]) -> Iterator[None]:
    for module in switches:
        module.enable_adapters(False)  # pyright: ignore[reportCallIssue]
    try:
        yield
    finally:
        for module in switches:
            module.enable_adapters(True)  # pyright: ignore[reportCallIssue]
