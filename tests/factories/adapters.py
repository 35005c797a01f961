"""Trained-like LoRA adapters, made and saved by peft itself as a training run would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict

from analysis.collect.backbone.vit import DinoVisionTransformer
from tests.factories.backbones import make_backbone


def train_adapter(
    backbone: DinoVisionTransformer | None = None, *, seed: int = 1, **settings: Any
) -> PeftModel:
    """Wrap a backbone with peft and move every trained parameter away from its initial value.

    Args:
        backbone: The frozen network, changed in place; a fresh `make_backbone()` by default.
        seed: Of the parameters.
        settings: Of the `LoraConfig`; rank 4, alpha 8 on `qkv` where they do not say otherwise.
    """
    config = LoraConfig(**({"r": 4, "lora_alpha": 8, "target_modules": ["qkv"]} | settings))
    with torch.random.fork_rng():  # peft initialises A at random
        torch.manual_seed(seed)
        model = get_peft_model(backbone or make_backbone(), config)
    assert isinstance(model, PeftModel)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def head_content(model: PeftModel, **meta: Any) -> dict[str, Any]:
    """Return what a training run saves as `infer_head.pt`."""
    return {
        "state_dict": {"0.weight": torch.zeros(3, 48)},
        "meta": {"backbone": "tiny", "embedding_dim": 48, **meta},
        "peft": {
            "config": model.peft_config["default"].to_dict(),
            "state_dict": get_peft_model_state_dict(model),
        },
    }


def save_head(path: Path, model: PeftModel, **meta: Any) -> Path:
    """Write the head file of a trained adapter; return its path."""
    torch.save(head_content(model, **meta), path)
    return path
