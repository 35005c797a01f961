"""The fused forward pass, run on the CPU by Triton's interpreter.

Not collected by name: Triton reads ``TRITON_INTERPRET`` when it is first imported, so
`test_fused_forward` runs this file in a process of its own.
"""

from __future__ import annotations

import copy
from typing import Literal

import pytest
import torch

from analysis.collect.backbone.low_precision import cast_linears
from analysis.collect.backbone.vit import DinoVisionTransformer, rotate
from analysis.collect.run.fused_forward import can_fuse, run_fused
from analysis.collect.run.fused_kernels import gate_in_place, rotate_in_place
from tests.collect.backbone.test_low_precision import attach
from tests.factories.backbones import make_backbone, tiny_variant


def make_random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_queries_and_keys_are_rotated_as_the_network_rotates_them() -> None:
    qkv, sin, cos = make_random(2, 5, 3, 3, 16), *make_random(2, 5, 8, seed=1).repeat(1, 1, 2)
    q, k, v = (part.transpose(1, 2) for part in qkv.clone().unbind(2))
    rotate_in_place(qkv, sin, cos)
    found = [part.transpose(1, 2) for part in qkv.unbind(2)]
    torch.testing.assert_close(found[0], rotate(q, sin, cos))
    torch.testing.assert_close(found[1], rotate(k, sin, cos))
    assert torch.equal(found[2], v)


def test_the_gated_product_is_that_of_silu() -> None:
    gate, value = make_random(3, 1001) * 8, make_random(3, 1001, seed=1)
    expected = torch.nn.functional.silu(gate.double()) * value
    torch.testing.assert_close(gate_in_place(gate, value).double(), expected, rtol=1e-5, atol=1e-6)


def both_ways(backbone: DinoVisionTransformer) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return block outputs of the fused pass in bf16, of autocast, and of float32."""
    pixels = make_random(2, 3, 40, 50, seed=2)  # not a multiple of the patch
    exact = torch.stack(list(backbone.forward_blocks(pixels)))
    twin = copy.deepcopy(backbone)
    cast_linears(twin, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = torch.stack(list(backbone.forward_blocks(pixels)))
        assert can_fuse(twin)
        found = list(run_fused(twin, pixels))
    for tokens, rows in found:
        mean = rows.mean.double() + rows.residue
        torch.testing.assert_close(mean, tokens.double().mean(-1), rtol=0, atol=1e-5)
    return torch.stack([tokens for tokens, _ in found]), rounded, exact


@pytest.mark.parametrize("ffn", ["mlp", "swiglu"])
@pytest.mark.parametrize("lora", [False, True], ids=["frozen", "LoRA"])
def test_the_fused_pass_is_as_close_to_float32_as_autocast(
    ffn: Literal["mlp", "swiglu"], lora: bool
) -> None:
    backbone = make_backbone(tiny_variant(ffn=ffn)).requires_grad_(False)
    if lora:
        attach(backbone, "w3" if ffn == "swiglu" else "fc2")
    fused, rounded, exact = both_ways(backbone)
    # The interpreter cuts digits off where a GPU rounds, which may double an error.
    error, accepted = ((x - exact).square().mean().sqrt() for x in (fused, rounded))
    assert fused.dtype == torch.float32
    assert error < 2.5 * accepted, (error, accepted)
    assert (fused - exact).abs().max() < 4 * (rounded - exact).abs().max()


def test_a_block_output_is_not_changed_by_the_blocks_after_it() -> None:
    backbone = make_backbone(tiny_variant(depth=3)).requires_grad_(False)
    cast_linears(backbone, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pixels = make_random(1, 3, 32, 32)
        kept = [(tokens, tokens.clone()) for tokens, _ in run_fused(backbone, pixels)]
    assert all(torch.equal(tokens, copied) for tokens, copied in kept)
