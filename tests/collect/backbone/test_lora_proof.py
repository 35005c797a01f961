"""The proof is the relative change of every layer's output, measured, never assumed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor

from analysis.collect.backbone.adapters import (
    attach_adapter,
    describe_lora_proof,
    measure_lora_proof,
)
from analysis.collect.backbone.vit import DinoVisionTransformer
from tests.factories.adapters import save_head, train_adapter
from tests.factories.backbones import make_backbone, tiny_variant

DEPTH = 4
PIXELS = torch.randn(3, 3, 32, 48, generator=torch.Generator().manual_seed(3))


def build() -> DinoVisionTransformer:
    return make_backbone(tiny_variant(depth=DEPTH))


def attach(tmp_path: Path, model: PeftModel) -> DinoVisionTransformer:
    backbone, state = attach_adapter(build, save_head(tmp_path / "head.pt", model), {})
    assert state.used_lora
    return backbone


@torch.no_grad()
def layers(backbone: Any) -> list[Tensor]:
    return [tokens.double() for tokens in backbone.forward_blocks(PIXELS)][1:]


@pytest.mark.parametrize("use_dora", [False, True], ids=["LoRA", "DoRA"])
def test_proof_is_the_relative_change_over_all_images(tmp_path: Path, use_dora: bool) -> None:
    backbone = attach(tmp_path, train_adapter(build(), use_dora=use_dora))
    expected = [
        float((on - off).norm() / off.norm())
        for on, off in zip(layers(backbone), layers(build()), strict=True)
    ]
    assert measure_lora_proof(backbone, PIXELS) == pytest.approx(expected, rel=1e-4)
    assert min(expected) > 1e-4


@pytest.mark.parametrize("first", range(DEPTH))
def test_layers_before_the_first_adapted_one_do_not_change_by_a_bit(
    tmp_path: Path, first: int
) -> None:
    model = train_adapter(build(), target_modules=[f"blocks.{first}.attn.qkv"])
    proof = measure_lora_proof(attach(tmp_path, model), PIXELS)
    assert proof[:first] == [0.0] * first
    assert all(change > 0 for change in proof[first:])


def test_adapted_patch_embedding_shows_in_every_layer(tmp_path: Path) -> None:
    model = train_adapter(build(), target_modules=["patch_embed.proj"])
    assert all(change > 0 for change in measure_lora_proof(attach(tmp_path, model), PIXELS))


def silence(model: PeftModel) -> PeftModel:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.zero_()
    return model


def test_untrained_adapter_changes_nothing_and_is_a_warning(tmp_path: Path) -> None:
    proof = measure_lora_proof(attach(tmp_path, silence(train_adapter(build()))), PIXELS)
    assert proof == [0.0] * DEPTH
    assert "changes no layer" in str(describe_lora_proof(proof))


def test_dora_acts_through_its_magnitudes_where_b_is_zero(tmp_path: Path) -> None:
    model = silence(train_adapter(build(), use_dora=True))
    proof = measure_lora_proof(attach(tmp_path, model), PIXELS)
    assert all(change > 0 for change in proof)
    assert describe_lora_proof(proof) is None


def test_frozen_backbone_has_no_proof_to_warn_about() -> None:
    assert describe_lora_proof(None) is None


def test_measuring_leaves_the_backbone_as_it_was(tmp_path: Path) -> None:
    model = train_adapter(build(), target_modules=["qkv", "proj"], modules_to_save=["norm"])
    backbone = attach(tmp_path, model)
    with torch.no_grad():
        before = backbone(PIXELS)
        measure_lora_proof(backbone, PIXELS)
        assert torch.equal(backbone(PIXELS), before)
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_proof_can_be_measured_in_inference_mode_and_bf16(tmp_path: Path) -> None:
    backbone = attach(tmp_path, train_adapter(build(), target_modules=["blocks.2.attn.qkv"]))
    exact = measure_lora_proof(backbone, PIXELS)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        rough = measure_lora_proof(backbone, PIXELS)
    assert rough[:2] == [0.0, 0.0]
    assert rough[2:] == pytest.approx(exact[2:], rel=0.2)


def test_outputs_that_are_not_finite_do_not_pass_for_no_change(tmp_path: Path) -> None:
    backbone = attach(tmp_path, train_adapter(build()))
    proof = measure_lora_proof(backbone, torch.full_like(PIXELS, torch.inf))
    assert all(math.isnan(change) for change in proof)
    assert describe_lora_proof(proof) is None
