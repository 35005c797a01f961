"""Weights cast beforehand give what autocast gives, and plain LoRA is told from all others."""

from __future__ import annotations

import copy
from typing import Any

import peft
import pytest
import torch

from analysis.collect.backbone.low_precision import cast_linears, plain_lora
from analysis.collect.backbone.vit import DinoVisionTransformer
from tests.factories.backbones import make_backbone, tiny_variant


def attach(
    backbone: DinoVisionTransformer, ffn: str = "fc2", **settings: Any
) -> DinoVisionTransformer:
    """Attach an adapter of peft whose parameters all act, to `ffn` too."""
    torch.manual_seed(0)
    config = peft.LoraConfig(
        r=4, lora_alpha=12, target_modules=["qkv", "attn.proj", ffn], **settings
    )
    peft.inject_adapter_in_model(config, backbone)
    for name, parameter in backbone.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return backbone.eval().requires_grad_(False)


def run(backbone: DinoVisionTransformer) -> torch.Tensor:
    pixels = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        return torch.stack(list(backbone.forward_blocks(pixels)))


@pytest.mark.parametrize("settings", [None, {}, {"use_dora": True}], ids=["none", "LoRA", "DoRA"])
def test_weights_cast_once_give_the_outputs_of_autocast_bit_for_bit(
    settings: dict[str, Any] | None,
) -> None:
    backbone = make_backbone(tiny_variant(ffn="mlp"))
    if settings is not None:
        attach(backbone, **settings)
    twin = copy.deepcopy(backbone)
    with torch.inference_mode():
        cast_linears(twin, torch.bfloat16)
    assert torch.equal(run(twin), run(backbone))


def test_projections_are_cast_and_everything_else_stays_float32() -> None:
    backbone = make_backbone(tiny_variant(ffn="swiglu"))
    cast_linears(backbone, torch.bfloat16)
    dtypes = {name: parameter.dtype for name, parameter in backbone.named_parameters()}
    low = {name for name, dtype in dtypes.items() if dtype == torch.bfloat16}
    expected = {n for n in dtypes if ".attn." in n or ".mlp." in n}
    assert low == expected


def test_dora_keeps_the_weights_whose_norm_it_takes() -> None:
    backbone = attach(make_backbone(tiny_variant()), use_dora=True)
    cast_linears(backbone, torch.bfloat16)
    block: Any = backbone.blocks[0]
    assert block.attn.qkv.base_layer.weight.dtype == torch.float32
    assert block.mlp.fc1.weight.dtype == torch.bfloat16


def test_plain_lora_gives_the_output_of_its_layer() -> None:
    backbone = attach(make_backbone(tiny_variant()))
    layer: Any = backbone.blocks[0]
    parts = plain_lora(layer.mlp.fc2)
    assert parts is not None
    x = torch.randn(3, 192, generator=torch.Generator().manual_seed(2))
    found = parts.base(x) + parts.scale * x @ parts.down.mT @ parts.up.mT
    torch.testing.assert_close(found, layer.mlp.fc2(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", [{"use_dora": True}, {"lora_bias": True}], ids=str)
def test_other_adapters_are_not_taken_for_plain_lora(settings: dict[str, Any]) -> None:
    layer: Any = attach(make_backbone(tiny_variant()), **settings).blocks[0]
    assert plain_lora(layer.mlp.fc2) is None
    assert plain_lora(layer.mlp.fc1) is None  # no adapter at all


def test_an_adapter_that_is_switched_off_is_not_plain_lora() -> None:
    layer: Any = attach(make_backbone(tiny_variant())).blocks[0]
    layer.mlp.fc2.enable_adapters(False)
    assert plain_lora(layer.mlp.fc2) is None
