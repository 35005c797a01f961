"""Our backbone against `transformers.DINOv3ViTModel`, an independent implementation.

The same parameters, the same stored periods, float32. The reference runs its plain attention
(matmul, softmax), ours the fused one. Two bounds hold for every block output: the relative error
of the whole, and the relative error of the median channel. The second is there because a few
massive channels make up nearly all of the norm and would hide errors everywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from analysis.collect.backbone.variants import VARIANTS, Variant, get_variant
from analysis.collect.backbone.vit import DinoVisionTransformer, Mlp, rope_periods
from tests.factories.backbones import make_backbone

BOUND = 1e-5

RELEASED = [name for name in VARIANTS if name != "dinov3_vitt16_demo"]

# Written by hand, not read from our table: the configs published with the weights.
INTERMEDIATE_SIZES = {
    "dinov3_vits16": 1536,
    "dinov3_vits16plus": 1536,
    "dinov3_vitb16": 3072,
    "dinov3_vitl16": 4096,
    "dinov3_vitl16plus": 4096,
    "dinov3_vith16plus": 5120,
    "dinov3_vit7b16": 8192,
}
PUBLISHED_MILLIONS = {
    "dinov3_vits16": 21.6,
    "dinov3_vits16plus": 28.7,
    "dinov3_vitb16": 85.7,
    "dinov3_vitl16": 303,
    "dinov3_vith16plus": 840,
    "dinov3_vit7b16": 6716,
}

TO_REFERENCE = {
    "cls_token": "embeddings.cls_token",
    "storage_tokens": "embeddings.register_tokens",
    "patch_embed.proj": "embeddings.patch_embeddings",
    "norm": "norm",
    "attn.proj": "attention.o_proj",
    "norm1": "norm1",
    "norm2": "norm2",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
    "mlp.fc1": "mlp.up_proj",
    "mlp.fc2": "mlp.down_proj",
    "mlp.w1": "mlp.gate_proj",
    "mlp.w2": "mlp.up_proj",
    "mlp.w3": "mlp.down_proj",
}


@dataclass(frozen=True)
class Deviation:
    """How far one tensor of ours is from the reference."""

    norm: float
    """Norm of the difference over the norm of the reference."""
    median_channel: float
    """Median over channels of the largest difference over the channel's root mean square."""

    def within(self, bound: float) -> bool:
        return self.norm <= bound and self.median_channel <= bound


def make_reference(variant: Variant) -> DINOv3ViTModel:
    gated = variant.ffn == "swiglu"
    config = DINOv3ViTConfig(
        hidden_size=variant.embed_dim,
        intermediate_size=INTERMEDIATE_SIZES[variant.name],
        num_hidden_layers=variant.depth,
        num_attention_heads=variant.n_heads,
        num_register_tokens=4,
        hidden_act="silu" if gated else "gelu",
        use_gated_mlp=gated,
        query_bias=variant.qkv_bias,
        value_bias=variant.qkv_bias,
        key_bias=False,
        layer_norm_eps=1e-5,
        rope_theta=100.0,
    )
    with torch.device("meta"):
        reference = DINOv3ViTModel(config).eval()
    reference.set_attn_implementation("eager")
    return reference


def to_reference_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {"embeddings.mask_token": state["mask_token"][None]}
    for key, tensor in state.items():
        prefix, name = "", key
        if key.startswith("blocks."):
            _, index, name = key.split(".", 2)
            prefix = f"model.layer.{index}."
        if name.startswith("attn.qkv.") and not name.endswith("bias_mask"):
            kind = name.removeprefix("attn.qkv.")
            for letter, third in zip("qkv", tensor.chunk(3), strict=True):
                if (letter, kind) != ("k", "bias"):
                    renamed[f"{prefix}attention.{letter}_proj.{kind}"] = third
        elif name not in ("mask_token", "rope_embed.periods", "attn.qkv.bias_mask"):
            stem, _, kind = name.rpartition(".")
            if name in TO_REFERENCE:
                renamed[prefix + TO_REFERENCE[name]] = tensor
            else:
                renamed[f"{prefix}{TO_REFERENCE[stem]}.{kind}"] = tensor
    return renamed


def twin_of(backbone: DinoVisionTransformer) -> DINOv3ViTModel:
    """Build the reference around the very tensors of our backbone."""
    reference = make_reference(backbone.variant)
    reference.load_state_dict(to_reference_names(backbone.state_dict()), strict=True, assign=True)
    reference.rope_embeddings.inv_freq = 1 / backbone.rope_embed.periods
    return reference


def deviation(ours: Tensor, reference: Tensor) -> Deviation:
    assert ours.dtype == reference.dtype == torch.float32
    assert ours.shape == reference.shape
    expected = reference.double()
    error = ours.double() - expected
    rms = expected.square().mean((0, 1)).sqrt()
    return Deviation(
        norm=float(error.norm() / expected.norm()),
        median_channel=float((error.abs().amax((0, 1)) / rms).median()),
    )


@torch.inference_mode()
def compare(
    backbone: DinoVisionTransformer, reference: DINOv3ViTModel, pixels: Tensor
) -> list[Deviation]:
    """Compare the embedding, every block output and the normed output, in this order."""
    expected = reference(pixels, output_hidden_states=True)
    assert len(expected.hidden_states) == backbone.depth + 1
    result = [
        deviation(ours, theirs)
        for ours, theirs in zip(
            backbone.forward_blocks(pixels), expected.hidden_states, strict=True
        )
    ]
    return [*result, deviation(backbone(pixels), expected.last_hidden_state)]


def random_pixels(batch: int, height: int, width: int) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["dinov3_vits16", "dinov3_vits16plus"])
def test_every_block_output_equals_transformers_at_released_size(name: str) -> None:
    backbone = make_backbone(name)
    reference = twin_of(backbone)
    for height, width in [(64, 64), (96, 48), (48, 96), (71, 40)]:
        deviations = compare(backbone, reference, random_pixels(2, height, width))
        assert all(d.within(BOUND) for d in deviations), ((height, width), deviations)


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        ("dinov3_vitb16", 2),
        ("dinov3_vitl16", 24),
        ("dinov3_vitl16plus", 2),
        ("dinov3_vith16plus", 2),
        ("dinov3_vit7b16", 2),
    ],
)
def test_larger_variants_equal_transformers(name: str, depth: int) -> None:
    backbone = make_backbone(name, depth=depth)
    deviations = compare(backbone, twin_of(backbone), random_pixels(1, 32, 48))
    assert all(d.within(BOUND) for d in deviations), deviations


def _use_tanh_gelu(backbone: DinoVisionTransformer) -> None:
    for module in backbone.modules():
        if isinstance(module, Mlp):
            module.act = nn.GELU(approximate="tanh")


def _let_the_key_bias_through(backbone: DinoVisionTransformer) -> None:
    for name, buffer in backbone.named_buffers():
        if name.endswith("bias_mask"):
            buffer.fill_(1)


def _use_computed_periods(backbone: DinoVisionTransformer) -> None:
    backbone.rope_embed.periods.copy_(rope_periods(backbone.variant))


def _swap_storage_tokens(backbone: DinoVisionTransformer) -> None:
    backbone.storage_tokens.data = backbone.storage_tokens.data.flip(1)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(_use_tanh_gelu, id="tanh GELU"),
        pytest.param(_let_the_key_bias_through, id="K bias not masked"),
        pytest.param(_use_computed_periods, id="periods not the stored ones"),
        pytest.param(_swap_storage_tokens, id="storage tokens reordered"),
    ],
)
def test_the_bound_is_broken_by(damage) -> None:
    backbone = make_backbone("dinov3_vits16")
    reference = twin_of(make_backbone("dinov3_vits16"))
    damage(backbone)
    deviations = compare(backbone, reference, random_pixels(2, 64, 64))
    assert not any(d.within(BOUND) for d in deviations[2:]), deviations


def test_massive_channels_hide_a_tanh_gelu_from_the_norm_but_not_from_the_median_channel() -> None:
    backbone = make_backbone("dinov3_vits16")
    reference = twin_of(make_backbone("dinov3_vits16"))
    _use_tanh_gelu(backbone)
    first_block = compare(backbone, reference, random_pixels(2, 64, 64))[1]
    assert first_block.norm <= BOUND < first_block.median_channel


@pytest.mark.parametrize("name", RELEASED)
def test_names_shapes_and_counts_equal_transformers_on_the_meta_device(name: str) -> None:
    variant = get_variant(name)
    backbone = DinoVisionTransformer(variant, device="meta")
    expected = {key: value.shape for key, value in make_reference(variant).state_dict().items()}
    renamed = to_reference_names(backbone.state_dict())
    assert {key: value.shape for key, value in renamed.items()} == expected
    masked_key_biases = variant.depth * variant.embed_dim if variant.qkv_bias else 0
    count = sum(parameter.numel() for parameter in backbone.parameters())
    assert count == masked_key_biases + sum(shape.numel() for shape in expected.values())


@pytest.mark.parametrize(("name", "millions"), PUBLISHED_MILLIONS.items())
def test_parameter_count_is_the_published_one(name: str, millions: float) -> None:
    backbone = DinoVisionTransformer(get_variant(name), device="meta")
    count = sum(parameter.numel() for parameter in backbone.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=1e-3)


@pytest.mark.parametrize(
    ("ffn", "qkv_bias", "expected"),
    [
        pytest.param("mlp", True, ["fc1", "fc2"], id="mlp"),
        pytest.param("swiglu", True, ["w1", "w2", "w3"], id="swiglu"),
        pytest.param("swiglu", False, ["w1", "w2", "w3"], id="no qkv bias"),
    ],
)
def test_names_are_the_official_ones(ffn, qkv_bias: bool, expected: list[str]) -> None:
    variant = replace(get_variant("dinov3_vits16"), depth=1, ffn=ffn, qkv_bias=qkv_bias)
    names = {"cls_token", "storage_tokens", "mask_token", "rope_embed.periods"}
    names |= {"blocks.0.ls1.gamma", "blocks.0.ls2.gamma", "blocks.0.attn.qkv.weight"}
    if qkv_bias:
        names |= {"blocks.0.attn.qkv.bias", "blocks.0.attn.qkv.bias_mask"}
    modules = ["patch_embed.proj", "blocks.0.norm1", "blocks.0.norm2", "blocks.0.attn.proj"]
    modules += [f"blocks.0.mlp.{layer}" for layer in expected] + ["norm", "cls_norm"]
    names |= {f"{module}.{kind}" for module in modules for kind in ("weight", "bias")}
    backbone = DinoVisionTransformer(variant, untied_norms=True, device="meta")
    assert set(backbone.state_dict()) == names
    assert {"cls_norm.weight", "cls_norm.bias"} == names - set(
        DinoVisionTransformer(variant, device="meta").state_dict()
    )
