"""The tables of names, against lists written out by hand and against transformers itself."""

from __future__ import annotations

import pytest
import torch
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from analysis.collect.backbone.variants import VARIANTS, Variant, get_variant
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.backbone.weights_formats import (
    FILL,
    OFFICIAL,
    TIMM,
    TIMM_WITHOUT_QKV_BIAS,
    TRANSFORMERS,
    WeightsFormat,
    describe_sizes,
    detect_format,
    strip_wrappers,
)
from tests.factories.backbones import tiny_variant

# What timm's DINOv3 models hold, `vit_small_patch16_dinov3_qkvb` and `..._plus_...` as examples.
TIMM_COMMON = [
    *("cls_token", "reg_token", "patch_embed.proj.weight", "patch_embed.proj.bias"),
    *("blocks.0.norm1.weight", "blocks.0.norm1.bias", "blocks.0.attn.qkv.weight"),
    *("blocks.0.attn.proj.weight", "blocks.0.attn.proj.bias", "blocks.0.gamma_1"),
    *("blocks.0.norm2.weight", "blocks.0.norm2.bias", "blocks.0.gamma_2"),
    *("norm.weight", "norm.bias"),
]
TIMM_QKV_BIAS = ["blocks.0.attn.q_bias", "blocks.0.attn.v_bias"]
TIMM_MLP = [
    *("blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc1.bias"),
    *("blocks.0.mlp.fc2.weight", "blocks.0.mlp.fc2.bias"),
]
TIMM_SWIGLU = [
    *("blocks.0.mlp.fc1_g.weight", "blocks.0.mlp.fc1_g.bias"),
    *("blocks.0.mlp.fc1_x.weight", "blocks.0.mlp.fc1_x.bias"),
    *("blocks.0.mlp.fc2.weight", "blocks.0.mlp.fc2.bias"),
]


def names_in_file(weights_format: WeightsFormat, variant: Variant) -> list[str]:
    network = DinoVisionTransformer(variant, device="meta").state_dict()
    return [name for key in network for name in weights_format.sources(key) if name != FILL]


@pytest.mark.parametrize(
    ("ffn", "hidden"), [("mlp", TIMM_MLP), ("swiglu", TIMM_SWIGLU)], ids=["mlp", "swiglu"]
)
@pytest.mark.parametrize(
    ("weights_format", "biases"), [(TIMM, TIMM_QKV_BIAS), (TIMM_WITHOUT_QKV_BIAS, [])]
)
def test_timm_names_are_those_of_the_written_out_list(
    ffn: str, hidden: list[str], weights_format: WeightsFormat, biases: list[str]
) -> None:
    names = names_in_file(weights_format, tiny_variant(depth=1, ffn=ffn))  # pyright: ignore[reportArgumentType]
    assert sorted(names) == sorted(TIMM_COMMON + biases + hidden)


def test_timm_gate_is_the_first_of_the_two_hidden_layers() -> None:
    # timm: fc2(silu(fc1_g x) * fc1_x x); official: w3(silu(w1 x) * w2 x).
    parts = {f"w{i}": TIMM.sources(f"blocks.7.mlp.w{i}.bias") for i in (1, 2, 3)}
    assert parts == {
        "w1": ("blocks.7.mlp.fc1_g.bias",),
        "w2": ("blocks.7.mlp.fc1_x.bias",),
        "w3": ("blocks.7.mlp.fc2.bias",),
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_transformers_names_are_those_of_its_model(name: str) -> None:
    variant = get_variant(name)
    config = DINOv3ViTConfig(
        hidden_size=variant.embed_dim,
        intermediate_size=variant.ffn_hidden,
        num_hidden_layers=2,
        num_attention_heads=variant.n_heads,
        num_register_tokens=variant.n_storage_tokens,
        use_gated_mlp=variant.ffn == "swiglu",
        query_bias=variant.qkv_bias,
        value_bias=variant.qkv_bias,
    )
    with torch.device("meta"):
        theirs = DINOv3ViTModel(config).state_dict()
    read = {TRANSFORMERS.spell(key) for key in theirs if not TRANSFORMERS.is_dropped(key)}
    shallow = tiny_variant(2, variant.embed_dim, variant.n_heads, variant.ffn)
    ours = [
        name
        for name in names_in_file(TRANSFORMERS, shallow)
        if variant.qkv_bias or not name.endswith(("q_proj.bias", "v_proj.bias"))
    ]
    assert len(ours) == len(set(ours))
    assert set(ours) == read


@pytest.mark.parametrize("weights_format", [OFFICIAL, TRANSFORMERS, TIMM], ids=lambda f: f.name)
def test_every_format_is_told_by_its_registers(weights_format: WeightsFormat) -> None:
    names = names_in_file(weights_format, tiny_variant())
    assert detect_format(names) == [(weights_format, "")]
    prefixed = [f"model.backbone.{name}" for name in names]
    assert detect_format([*prefixed, "head.weight"]) == [(weights_format, "model.backbone.")]


def test_name_that_only_ends_like_a_marker_is_no_backbone() -> None:
    assert detect_format(["my_reg_token", "xstorage_tokens"]) == []


def test_wrappers_of_training_tools_are_taken_out_of_names() -> None:
    tensor = torch.zeros(1)
    wrapped = {
        "_orig_mod.cls_token": tensor,
        "blocks.0._checkpoint_wrapped_module.attn.qkv.base_layer.weight": tensor,
        "blocks.0.attn.qkv.lora_A.default.weight": tensor,
        "norm.original_module.bias": tensor,
        "norm.modules_to_save.default.bias": tensor,
        "module.blocks.module.1.module.attn.proj.bias": tensor,
    }
    frozen, n_adapter = strip_wrappers(wrapped)
    assert set(frozen) == {
        "cls_token",
        "blocks.0.attn.qkv.weight",
        "norm.bias",
        "module.blocks.1.attn.proj.bias",
    }
    assert n_adapter == 2


@pytest.mark.parametrize("weights_format", [OFFICIAL, TRANSFORMERS, TIMM], ids=lambda f: f.name)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_recognised_from_its_shapes(
    name: str, weights_format: WeightsFormat
) -> None:
    tensors = {}
    for key, tensor in DinoVisionTransformer(get_variant(name), device="meta").state_dict().items():
        sources = weights_format.sources(key)
        tensors |= {source: tensor for source in sources if source != FILL}
    assert describe_sizes(weights_format, tensors)[0] == name


def test_name_for_two_tensors_keeps_its_wrapper() -> None:
    first, second = torch.zeros(1), torch.ones(1)
    frozen, _ = strip_wrappers({"_orig_mod.cls_token": first, "cls_token": second})
    assert frozen["cls_token"] is second
    assert frozen["_orig_mod.cls_token"] is first


def test_network_with_learned_positions_is_none() -> None:
    names = names_in_file(TIMM, tiny_variant())
    assert detect_format([*names, "pos_embed"]) == []


def test_sizes_of_no_variant_are_described() -> None:
    network = DinoVisionTransformer(tiny_variant(depth=3, dim=96), device="meta")
    expected = (None, "96 channels, 3 blocks, mlp of width 384")
    assert describe_sizes(OFFICIAL, network.state_dict()) == expected


def test_sizes_of_an_empty_file_are_described() -> None:
    assert describe_sizes(OFFICIAL, {}) == (None, "0 channels, 0 blocks, mlp of width 0")
