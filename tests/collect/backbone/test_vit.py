from __future__ import annotations

import math
import subprocess
import sys
import weakref
from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analysis.collect.backbone.variants import VARIANTS
from analysis.collect.backbone.vit import (
    DinoVisionTransformer,
    RopePositionEmbedding,
    rope_periods,
    rotate,
)
from analysis.errors import ConfigError
from tests import ROOT
from tests.factories.backbones import make_backbone, tiny_variant


def random_pixels(batch: int = 2, height: int = 48, width: int = 32) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(3))


def layer_norm(tokens: Tensor, norm: nn.LayerNorm) -> np.ndarray:
    x = tokens.double().numpy()
    centred = x - x.mean(-1, keepdims=True)
    unit = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return unit * norm.weight.double().numpy() + norm.bias.double().numpy()


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


def test_embedding_is_cls_then_storage_tokens_then_patches_row_by_row() -> None:
    backbone = make_backbone()
    pixels = random_pixels(height=48, width=32)
    tokens = next(backbone.forward_blocks(pixels))
    assert tokens.shape == (2, 1 + 4 + 6, 48)
    assert torch.equal(tokens[:, 0], backbone.cls_token[0].expand(2, -1))
    assert torch.equal(tokens[:, 1:5], backbone.storage_tokens.expand(2, -1, -1))
    weight = backbone.patch_embed.proj.weight.double().flatten(1)
    bias = backbone.patch_embed.proj.bias
    assert bias is not None
    for row in range(3):
        for col in range(2):
            patch = pixels[:, :, 16 * row : 16 * row + 16, 16 * col : 16 * col + 16]
            expected = patch.double().flatten(1) @ weight.T + bias
            actual = tokens[:, 5 + 2 * row + col].double()
            torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_forward_blocks_yields_the_embedding_and_every_block_output() -> None:
    backbone = make_backbone(tiny_variant(depth=3))
    outputs = list(backbone.forward_blocks(random_pixels()))
    assert len(outputs) == backbone.depth + 1 == 4
    assert all(output.shape == (2, 11, 48) for output in outputs)
    sin, cos = backbone.rope_embed(3, 2, 5)
    for before, block, after in zip(outputs, backbone.blocks, outputs[1:], strict=False):
        assert torch.equal(block(before, sin, cos), after)
    assert torch.equal(backbone(random_pixels()), backbone.apply_norm(outputs[-1]))


def test_forward_blocks_runs_a_block_only_when_its_output_is_asked_for() -> None:
    backbone = make_backbone(tiny_variant(depth=4))
    ran: list[int] = []
    for index, block in enumerate(backbone.blocks):
        block.register_forward_hook(lambda *_, index=index: ran.append(index))
    taken = list(islice(backbone.forward_blocks(random_pixels()), 3))
    assert len(taken) == 3
    assert ran == [0, 1]


def test_forward_blocks_lets_go_of_what_it_yielded_before() -> None:
    backbone = make_backbone(tiny_variant(depth=4))
    outputs = backbone.forward_blocks(random_pixels())
    seen: list[weakref.ref[Tensor]] = []
    for _ in range(backbone.depth + 1):
        seen.append(weakref.ref(next(outputs)))
        alive = [ref() is not None for ref in seen]
        assert alive == [False] * (len(seen) - 1) + [True]


@pytest.mark.parametrize(("height", "width"), [(48, 47), (63, 32), (63, 47)])
def test_a_rest_that_the_patch_size_does_not_divide_is_cut_off(height: int, width: int) -> None:
    backbone = make_backbone()
    pixels = random_pixels(height=height, width=width)
    rows, cols = backbone.patch_grid(height, width)
    assert (rows, cols) == (3, 2)
    assert torch.equal(backbone(pixels), backbone(pixels[:, :, :48, :32].contiguous()))


@pytest.mark.parametrize(("height", "width"), [(15, 32), (32, 15)])
def test_an_image_smaller_than_a_patch_is_refused_with_its_size(height: int, width: int) -> None:
    backbone = make_backbone()
    with pytest.raises(ConfigError, match=rf"{width}x{height} .*16x16.*data\.image_size"):
        next(backbone.forward_blocks(random_pixels(height=height, width=width)))


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (1, 32, 32, 3)])
def test_pixels_of_another_layout_are_refused_with_their_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"got .*32"):
        next(make_backbone().forward_blocks(torch.zeros(shape)))


def test_images_of_a_batch_do_not_see_each_other() -> None:
    backbone = make_backbone()
    pixels = random_pixels(batch=3)
    together = backbone(pixels)
    for index in range(3):
        alone = backbone(pixels[index : index + 1])
        torch.testing.assert_close(together[index : index + 1], alone, rtol=1e-5, atol=1e-5)


def test_storage_tokens_are_interchangeable_but_the_positions_of_patches_are_not() -> None:
    # The storage tokens have no position: reordering them reorders their outputs and no more.
    backbone, reordered = make_backbone(), make_backbone()
    reordered.storage_tokens.copy_(backbone.storage_tokens[:, [2, 0, 3, 1]])
    expected, actual = backbone(random_pixels()), reordered(random_pixels())
    torch.testing.assert_close(actual[:, 5:], expected[:, 5:], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(actual[:, 1:5], expected[:, [3, 1, 4, 2]], rtol=1e-4, atol=1e-4)
    moved = backbone(torch.cat(random_pixels().chunk(3, dim=2)[::-1], dim=2))
    swapped = moved[:, 5:].unflatten(1, (3, 2)).flip(1).flatten(1, 2)
    assert (swapped - expected[:, 5:]).abs().max() > 1e-2


@pytest.mark.parametrize("value", [0.0, 1e3, float(np.float32(3e38))])
def test_mask_zeroes_the_key_third_of_the_bias_and_nothing_else(value: float) -> None:
    qkv = make_backbone().blocks[0].get_submodule("attn.qkv")
    assert isinstance(qkv, nn.Linear)
    qkv.bias[48:96] = value
    x = torch.randn(2, 5, 48, generator=torch.Generator().manual_seed(5))
    bias = qkv.bias.clone()
    bias[48:96] = 0
    assert torch.equal(qkv(x), nn.functional.linear(x, qkv.weight, bias))
    assert bias[:48].abs().min() > 0
    assert bias[96:].abs().min() > 0


def test_without_a_qkv_bias_there_is_no_mask() -> None:
    backbone = make_backbone(tiny_variant(qkv_bias=False))
    assert not [key for key in backbone.state_dict() if "qkv.bias" in key]
    assert torch.isfinite(backbone(random_pixels())).all()


def test_projections_are_the_module_types_that_adapters_look_for() -> None:
    for variant in (tiny_variant(), tiny_variant(ffn="swiglu")):
        types = {
            name.removeprefix("blocks.0."): type(module)
            for name, module in make_backbone(variant).named_modules()
        }
        assert types["patch_embed.proj"] is nn.Conv2d
        assert types["attn.proj"] is nn.Linear
        assert issubclass(types["attn.qkv"], nn.Linear)
        layers = ["fc1", "fc2"] if variant.ffn == "mlp" else ["w1", "w2", "w3"]
        assert all(types[f"mlp.{layer}"] is nn.Linear for layer in layers)


@pytest.mark.parametrize("untied", [False, True])
def test_cls_and_storage_tokens_take_cls_norm_only_where_untied(untied: bool) -> None:
    backbone = make_backbone(untied_norms=untied)
    *_, last = backbone.forward_blocks(random_pixels())
    if backbone.cls_norm is None:
        assert not untied
        expected = layer_norm(last, backbone.norm)
    else:
        assert untied
        prefix = layer_norm(last[:, :5], backbone.cls_norm)
        expected = np.concatenate((prefix, layer_norm(last[:, 5:], backbone.norm)), axis=1)
    np.testing.assert_allclose(backbone(random_pixels()).numpy(), expected, rtol=1e-5, atol=1e-5)


def test_every_layer_norm_has_the_released_epsilon() -> None:
    # Massive channels make the variance so large that no comparison of outputs would notice.
    norms = [m for m in make_backbone(untied_norms=True).modules() if isinstance(m, nn.LayerNorm)]
    assert len(norms) == 2 * 2 + 2
    assert {norm.eps for norm in norms} == {1e-5}


def test_every_parameter_but_the_mask_token_reaches_the_output() -> None:
    # Otherwise the parity tests could not see it.
    for ffn in ("mlp", "swiglu"):
        backbone = make_backbone(tiny_variant(ffn=ffn), untied_norms=True)
        with torch.enable_grad():
            backbone(random_pixels()).square().sum().backward()
        unused = [
            name
            for name, parameter in backbone.named_parameters()
            if parameter.grad is None or not parameter.grad.abs().sum() > 0
        ]
        assert unused == ["mask_token"]


@pytest.mark.parametrize("name", VARIANTS)
def test_periods_follow_the_formula(name: str) -> None:
    variant = VARIANTS[name]
    quarter = variant.head_dim // 4
    expected = 100.0 ** (np.arange(quarter) / quarter)
    np.testing.assert_allclose(rope_periods(variant).numpy(), expected, rtol=1e-6)


def test_angles_are_two_pi_coordinate_over_stored_period() -> None:
    rope = RopePositionEmbedding(tiny_variant())
    rope.periods.copy_(torch.tensor([1.0, 2.5, 7.0, 31.0]))
    sin, cos = rope(3, 5, n_prefix=2)
    assert sin.shape == cos.shape == (2 + 15, 16)
    assert torch.equal(sin[:2], torch.zeros(2, 16))
    assert torch.equal(cos[:2], torch.ones(2, 16))
    for row in range(3):
        for col in range(5):
            y, x = 2 * (row + 0.5) / 3 - 1, 2 * (col + 0.5) / 5 - 1
            angles = [2 * math.pi * c / p for c in (y, x) for p in (1.0, 2.5, 7.0, 31.0)] * 2
            token = 2 + 5 * row + col
            np.testing.assert_allclose(sin[token].numpy(), np.sin(angles), atol=1e-6)
            np.testing.assert_allclose(cos[token].numpy(), np.cos(angles), atol=1e-6)


def test_periods_loaded_later_are_the_ones_used() -> None:
    backbone = make_backbone()
    before = backbone(random_pixels())
    backbone.rope_embed.periods.mul_(1.5)
    assert (backbone(random_pixels()) - before).abs().max() > 1e-3


def test_rotation_is_done_in_float32_and_rounded_once() -> None:
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(2, 3, 50, 16, generator=generator).bfloat16()
    angles = torch.rand(50, 16, generator=generator) * 6
    sin, cos = angles.sin(), angles.cos()
    first, second = x.double().chunk(2, dim=-1)
    exact = x.double() * cos + torch.cat((-second, first), dim=-1) * sin
    rotated = rotate(x, sin, cos)
    assert rotated.dtype == torch.bfloat16
    # Half a bf16 step, and a little for float32: rounding twice would exceed it.
    step = exact.abs() * 2.0**-8 * 1.001 + 1e-6
    assert ((rotated.double() - exact).abs() <= step).all()


@pytest.mark.parametrize("ffn", ["mlp", "swiglu"])
def test_residual_stream_stays_float32_under_bf16_autocast(ffn) -> None:
    backbone = make_backbone(tiny_variant(depth=3, ffn=ffn))
    exact = list(backbone.forward_blocks(random_pixels()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = list(backbone.forward_blocks(random_pixels()))
        assert backbone(random_pixels()).dtype == torch.float32
    for expected, actual in zip(exact, rounded, strict=True):
        assert actual.dtype == torch.float32
        assert 0 < (actual - expected).norm() / expected.norm() < 1e-2
    # Had the stream itself passed through bf16, every value would be one of bf16's.
    for actual in rounded[1:]:
        assert (actual != actual.bfloat16().float()).float().mean() > 0.9


def test_a_single_block_compiles_without_a_graph_break() -> None:
    backbone = make_backbone()
    block = backbone.blocks[0]
    tokens = next(backbone.forward_blocks(random_pixels()))
    sin, cos = backbone.rope_embed(3, 2, 5)
    expected = block(tokens, sin, cos)
    block.compile(backend="eager", fullgraph=True)
    torch.testing.assert_close(block(tokens, sin, cos), expected)


def test_meta_device_allocates_nothing() -> None:
    backbone = DinoVisionTransformer(VARIANTS["dinov3_vit7b16"], untied_norms=True, device="meta")
    assert {tensor.device.type for tensor in backbone.state_dict().values()} == {"meta"}


def test_made_backbones_repeat_by_seed() -> None:
    first, again, other = (make_backbone(seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(
        torch.equal(first[key], other[key])
        for key in first
        if not key.endswith(("mask", "periods"))
    )


def test_a_backbone_is_built_without_importing_a_compiler() -> None:
    code = (
        "import sys; from analysis.collect.backbone.variants import get_variant; "
        "from analysis.collect.backbone.vit import DinoVisionTransformer; "
        "DinoVisionTransformer(get_variant('dinov3_vitt16_demo'), device='meta'); "
        "print('torch._dynamo' in sys.modules)"
    )
    root = ROOT
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "False"
