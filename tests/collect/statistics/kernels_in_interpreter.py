"""The Triton kernels, run on the CPU by Triton's interpreter.

Not collected by name: Triton reads ``TRITON_INTERPRET`` when it is first imported, so
`test_kernels` runs this file in a process of its own.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.collect.run import measured_forward as measured
from analysis.collect.statistics.collector import StatisticsCollector
from analysis.collect.statistics.kernels import PACKED_BITS
from analysis.collect.statistics.measured_norm import apply_layer_norm
from analysis.collect.statistics.norm import NormParameters
from analysis.collect.statistics.triton_engine import plan_launch
from tests.collect.statistics.reference import (
    STORAGE,
    assert_agrees,
    assert_same_statistics,
    by_role,
    collect,
    expect,
    layer_norm,
    make_collector,
    make_outputs,
)
from tests.factories.backbones import make_backbone, tiny_variant

SINGLES = 1 + STORAGE


def run(
    outputs: torch.Tensor, batches: list[list[int]], engine: str, *, extras: bool
) -> StatisticsCollector:
    collector = make_collector(
        outputs, extras=extras, engine="triton" if engine == "triton" else "torch"
    )
    return collect(outputs, batches, into=collector)


def make_small_outputs(images: int, patches: int) -> torch.Tensor:
    """Return one layer of eight channels, small since the interpreter is slow."""
    generator = torch.Generator().manual_seed(images)
    outputs = torch.randn(2, images, SINGLES + patches, 8, generator=generator)
    return outputs * 2 + torch.arange(8)


def assert_engines_agree(
    outputs: torch.Tensor, batches: list[list[int]], *, extras: bool = False
) -> None:
    kernels, plain = (run(outputs, batches, name, extras=extras) for name in ("triton", "torch"))
    assert_same_statistics(kernels, plain, 1e-6, normalized_tolerance=1e-5)
    theirs = plain.state_dict()
    for name, found in kernels.state_dict().items():
        if not found.is_floating_point():
            assert torch.equal(found, theirs[name]), name
    for name in ("top_sum", "footprint_sum"):
        torch.testing.assert_close(kernels.state_dict()[name], theirs[name])
    for name in ("low", "high"):
        found, other = kernels.state_dict()[name], theirs[name]
        assert torch.equal(found[:, 0], other[:, 0]), name
        torch.testing.assert_close(found[:, 1], other[:, 1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("extras", "channels"), [(False, 8), (True, 40)], ids=["plain", "extras"])
def test_both_engines_agree_on_awkward_tokens(extras: bool, channels: int) -> None:
    outputs = make_outputs(depth=1, images=5, patches=10, channels=channels)
    outputs[1, 0, SINGLES + 3, 1] = torch.nan
    outputs[1, 1, 0, 2] = torch.inf
    outputs[1, 1, 2, 2] = torch.nan
    outputs[1, 3] = torch.nan
    assert_engines_agree(outputs, [[0, 1, -1, 2], [3, 4]], extras=extras)


def test_images_of_one_group_are_merged_within_and_across_batches() -> None:
    outputs = make_small_outputs(6, 6)
    groups = torch.tensor([1, 0, 1, 3, 1, 0])
    kernels, plain = (
        collect(
            outputs,
            [[0, 1, 2], [5, -1, 4], [3]],
            into=make_collector(outputs, extras=True, engine=engine, image_groups=groups),
        )
        for engine in ("triton", "torch")
    )
    theirs = plain.state_dict()
    for name, found in kernels.state_dict().items():
        torch.testing.assert_close(found, theirs[name], rtol=1e-5, atol=1e-5)
    assert torch.equal(theirs["count"][1, :4], torch.tensor([2, 3, 0, 1]))


def test_a_non_finite_pivot_is_harmless() -> None:
    outputs = make_small_outputs(2, 9)
    outputs[1, 0, SINGLES, 0] = torch.nan
    outputs[1, 1, SINGLES, 5] = -torch.inf
    assert_engines_agree(outputs, [[0, 1]])


@pytest.mark.parametrize("massive", [None, 0, 7, 15])
def test_neither_a_large_mean_nor_a_massive_token_costs_digits(massive: int | None) -> None:
    generator = torch.Generator().manual_seed(4)
    outputs = torch.randn(2, 3, SINGLES + 16, 8, generator=generator)
    if massive is None:
        outputs += 1e4
    else:
        outputs[:, 1, SINGLES + massive, ::2] = 5000
    norm = NormParameters(torch.ones(8), torch.zeros(8))
    found = run(outputs, [[0, 1], [2]], "triton", extras=False).finalize(norm).layers[0]
    tokens = by_role(outputs[1].numpy(), "patch").reshape(-1, 8)
    assert_agrees(found["pre"]["patch"], expect(tokens), 1e-6)
    assert_agrees(found["per_layer_ln"]["patch"], expect(layer_norm(tokens)), 1e-5)


def test_a_constant_channel_has_zero_std() -> None:
    outputs = make_small_outputs(2, 9)
    outputs[..., 2] = 12.345
    norm = NormParameters(torch.ones(8), torch.zeros(8))
    stats = run(outputs, [[0, 1]], "triton", extras=False).finalize(norm).layers[0]["pre"]["patch"]
    assert stats.std[2] == 0
    assert stats.mean[2] == np.float32(12.345)


def test_half_precision_is_read_as_it_is() -> None:
    assert_engines_agree(make_small_outputs(2, 6).bfloat16(), [[0, 1]])


@pytest.mark.parametrize("images", [1, 8, 64])
@pytest.mark.parametrize("patches", [1, 3, 256, 1800, 100_000])
@pytest.mark.parametrize("channels", [192, 384, 1280, 4096])
def test_tiles_cover_every_patch_and_fit_their_counters(
    images: int, patches: int, channels: int
) -> None:
    plan = plan_launch(images, SINGLES + patches, SINGLES, channels, 132)
    assert (plan.tiles - 1) * plan.tile_rows < patches <= plan.tiles * plan.tile_rows
    assert plan.tile_rows % plan.chunk == 0
    assert plan.tile_rows < 2**PACKED_BITS


def make_norm(channels: int) -> torch.nn.LayerNorm:
    norm = torch.nn.LayerNorm(channels, eps=1e-5).requires_grad_(False)
    torch.nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(0))
    torch.nn.init.normal_(norm.bias, generator=torch.Generator().manual_seed(1))
    return norm


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_the_norm_that_measures_is_layer_norm(offset: float) -> None:
    norm = make_norm(40)
    tokens = torch.randn(2, 7, 40, generator=torch.Generator().manual_seed(2)) * 3 + offset
    normalized, rows = apply_layer_norm(tokens, norm)
    exact = tokens.double()
    expected = torch.nn.functional.layer_norm(
        exact, (40,), norm.weight.double(), norm.bias.double(), norm.eps
    )
    torch.testing.assert_close(normalized.double(), expected, rtol=1e-6, atol=3e-6)
    mean = rows.mean.double() + rows.residue
    torch.testing.assert_close(mean, exact.mean(-1), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        rows.variance.double(), exact.var(-1, correction=0), rtol=1e-5, atol=0
    )
    assert torch.equal(rows.peak, tokens.abs().amax(-1))


def test_the_norm_that_measures_has_the_precision_of_autocast() -> None:
    norm = make_norm(40)
    tokens = torch.randn(1, 4, 40, generator=torch.Generator().manual_seed(3))
    exact, _ = apply_layer_norm(tokens, norm)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded, _ = apply_layer_norm(tokens, norm)
    assert rounded.dtype == torch.bfloat16
    # The interpreter cuts digits off where a GPU rounds (benchmarks/gpu_engine.py holds that).
    torch.testing.assert_close(rounded.float(), exact, rtol=2**-7, atol=0)


def test_a_network_that_measures_gives_the_block_outputs_and_the_same_statistics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        measured, "_apply_norm", lambda norm, tokens: apply_layer_norm(tokens, norm)
    )
    backbone = make_backbone(tiny_variant(depth=2)).eval().requires_grad_(False)
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    plain = torch.stack(list(backbone.forward_blocks(pixels)))
    found = list(measured.run_measured(backbone, pixels))
    outputs = torch.stack([tokens for tokens, _ in found])
    torch.testing.assert_close(outputs, plain, rtol=1e-5, atol=1e-5)
    assert [rows is None for _, rows in found] == [False, False, True]

    collector = make_collector(outputs, extras=True, engine="triton")
    collector.begin_batch(torch.arange(2), torch.ones(2, dtype=torch.bool))
    for layer, (tokens, rows) in enumerate(found, start=-1):
        collector.observe(layer, tokens, rows)
    collector.commit_batch()
    reference = run(outputs, [[0, 1]], "triton", extras=True)
    for name, tensor in reference.state_dict().items():
        assert torch.equal(collector.state_dict()[name], tensor), name
