"""Writes backbones and heads in the files that a fine-tuning run leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from torch import Tensor, nn

from analysis.collect.backbone.variants import get_variant
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.files.atomic import replace_file
from demo.biomass import TARGETS

BACKBONE = "dinov3_vitt16_demo"
WEIGHTS_NAME = f"{BACKBONE}_pretrain_quadrats.pth"
LORA_RANK = 8


def new_backbone() -> DinoVisionTransformer:
    """Build the demo variant with PyTorch's default parameters."""
    return DinoVisionTransformer(get_variant(BACKBONE))


def add_lora(backbone: DinoVisionTransformer) -> PeftModel:
    """Put a trainable LoRA adapter on every fused Q, K, V projection and freeze the rest."""
    config = LoraConfig(
        r=LORA_RANK,
        lora_alpha=2 * LORA_RANK,
        lora_dropout=0.0,
        bias="none",
        target_modules=["qkv"],
    )
    adapted = get_peft_model(backbone, config)
    assert isinstance(adapted, PeftModel)
    return adapted


def save_backbone(backbone: nn.Module, path: Path) -> None:
    """Save a plain official state dict, floating point tensors as fp16."""
    _save(_half(backbone.state_dict()), path)


def save_head(
    adapted: PeftModel, head: Mapping[str, Tensor], path: Path, **meta: str | int | float
) -> None:
    """Save a regression head and the adapter that it was trained with, both as fp16.

    Args:
        adapted: The backbone with its adapter.
        head: State dict of the regression head.
        path: Of the file, `infer_head.pt` by convention.
        **meta: Further facts for ``meta``, plain values.
    """
    contents: dict[str, Any] = {
        "state_dict": _half(head),
        "meta": {"backbone": BACKBONE, "embedding_dim": 192, "target_order": list(TARGETS), **meta},
        "peft": {
            "config": adapted.peft_config["default"].to_dict(),
            "state_dict": _half(get_peft_model_state_dict(adapted)),
        },
    }
    _save(contents, path)


def round_to_half(module: nn.Module) -> None:
    """Round every parameter as its file will, so that what is measured is what is read."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.half())


def _half(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor.detach().cpu().half() if tensor.is_floating_point() else tensor.cpu()
        for name, tensor in state.items()
    }


def _save(contents: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as file:
        torch.save(contents, file)
