"""Adapters of transformers' DINOv3 compute here what transformers and peft compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from analysis.collect.backbone.adapters import attach_adapter
from analysis.collect.backbone.variants import VARIANTS, Variant
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.backbone.weights import load_backbone
from tests.factories.backbones import tiny_variant

MLP = tiny_variant(2, 48, 3, name="tiny")
GATED = tiny_variant(2, 48, 3, "swiglu", name="tiny")
PIXELS = torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(7))


def make_model(variant: Variant) -> DINOv3ViTModel:
    gated = variant.ffn == "swiglu"
    config = DINOv3ViTConfig(
        hidden_size=48,
        intermediate_size=variant.ffn_hidden,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_register_tokens=4,
        use_gated_mlp=gated,
        hidden_act="silu" if gated else "gelu",
    )
    generator = torch.Generator().manual_seed(3)
    model = DINOv3ViTModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model


class Wrapper(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(48, 2)


def train(model: nn.Module, **settings: Any) -> PeftModel:
    torch.manual_seed(1)
    adapted = get_peft_model(model, LoraConfig(**({"r": 4, "lora_alpha": 6} | settings)))  # pyright: ignore[reportArgumentType]
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return adapted.eval()


SETTINGS: dict[str, tuple[Variant, dict[str, Any]]] = {
    "q and v": (MLP, {"target_modules": ["q_proj", "v_proj"]}),
    "k": (MLP, {"target_modules": ["k_proj"]}),
    "all of attention": (MLP, {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}),
    "hidden layers": (MLP, {"target_modules": ["up_proj", "down_proj"]}),
    "gated layers": (GATED, {"target_modules": ["up_proj", "down_proj", "gate_proj", "o_proj"]}),
    "patch embedding": (MLP, {"target_modules": ["patch_embeddings", "q_proj"]}),
    "all linear layers": (GATED, {"target_modules": "all-linear"}),
    "pattern": (MLP, {"target_modules": r".*layer\.1\..*(q|v)_proj"}),
    "last layer": (MLP, {"target_modules": ["v_proj"], "layers_to_transform": [1]}),
    "rank-stabilised": (MLP, {"target_modules": ["q_proj", "v_proj"], "use_rslora": True}),
    "unlike ranks and scales": (
        MLP,
        {
            "target_modules": ["q_proj", "k_proj", "v_proj"],
            "rank_pattern": {"q_proj": 2, r".*layer\.1\..*v_proj": 7},
            "alpha_pattern": {"v_proj": 17},
        },
    ),
    "DoRA on all": (MLP, {"target_modules": ["q_proj", "k_proj", "v_proj"], "use_dora": True}),
    "DoRA on some": (GATED, {"target_modules": ["v_proj", "up_proj"], "use_dora": True}),
    "bias in B": (MLP, {"target_modules": ["q_proj", "v_proj"], "lora_bias": True}),
    "output norm": (MLP, {"target_modules": ["q_proj"], "modules_to_save": ["model_norm_is_none"]}),
}
SETTINGS["output norm"][1]["modules_to_save"] = ["norm"]


@pytest.mark.parametrize(("variant", "settings"), SETTINGS.values(), ids=SETTINGS.keys())
@pytest.mark.parametrize("wrapped", [False, True], ids=["model", "classifier"])
@torch.no_grad()
def test_adapter_of_transformers_is_translated_exactly(
    tmp_path: Path,
    variant: Variant,
    settings: dict[str, Any],
    wrapped: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(VARIANTS, "tiny", variant)
    model = make_model(variant)
    model.save_pretrained(tmp_path / "weights")
    frozen = model(PIXELS).last_hidden_state
    trained = train(Wrapper(model) if wrapped else model, **settings)
    trained.save_pretrained(str(tmp_path / "adapter"))
    expected = model(PIXELS).last_hidden_state  # peft changes the model in place

    def build() -> DinoVisionTransformer:
        return load_backbone("tiny", tmp_path / "weights")[0]

    backbone, state = attach_adapter(build, tmp_path / "adapter", {})
    assert state.lora_error is None
    found = backbone(PIXELS)
    scale = expected.abs().max()
    assert (found - expected).abs().max() <= 5e-6 * scale
    assert (expected - frozen).abs().max() > 1e-3 * scale, "the adapter acts"


def attach_to_tiny(path: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> str:
    monkeypatch.setitem(VARIANTS, "tiny", MLP)
    model = make_model(MLP)
    model.save_pretrained(path / "weights")
    train(model, **settings).save_pretrained(str(path / "adapter"))
    _, state = attach_adapter(
        lambda: load_backbone("tiny", path / "weights")[0], path / "adapter", {}
    )
    assert state.lora_error is not None
    return state.lora_error


def test_initialisation_that_split_the_base_weights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = attach_to_tiny(
        tmp_path, monkeypatch, target_modules=["q_proj"], init_lora_weights="pissa"
    )
    assert "path_initial_model_for_weight_conversion" in error


def test_layers_that_were_trained_as_a_whole_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = attach_to_tiny(
        tmp_path, monkeypatch, target_modules=["q_proj"], modules_to_save=["v_proj"]
    )
    assert "layer.0.attention.v_proj.weight" in error
    assert "merge_and_unload" in error


def test_more_blocks_than_the_backbone_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shallow = tiny_variant(1, 48, 3, name="tiny")
    monkeypatch.setitem(VARIANTS, "tiny", shallow)
    train(make_model(MLP), target_modules=["q_proj"]).save_pretrained(str(tmp_path))
    _, state = attach_adapter(lambda: DinoVisionTransformer(shallow), tmp_path, {})
    assert state.lora_error is not None
    assert "without a place: model.layer.1.attention.q_proj" in state.lora_error
