"""The forward pass that measures yields what the plain one yields, compiled or not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.run import measured_forward as measured
from analysis.collect.run.measured_forward import run_measured
from tests.factories.backbones import make_backbone, tiny_variant


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Iterator[CompileCounterWithBackend]:
    """Compile without generating code, which needs a compiler of its own, and count the graphs."""
    counter = CompileCounterWithBackend("aot_eager")
    monkeypatch.setattr(measured, "BACKEND", counter)
    measured._compile.cache_clear()
    yield counter
    measured._compile.cache_clear()
    torch.compiler.reset()


def make_network(depth: int) -> DinoVisionTransformer:
    return make_backbone(tiny_variant(depth=depth)).eval().requires_grad_(False)


def make_pixels(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(seed))


@pytest.mark.usefixtures("counter")
@pytest.mark.parametrize("compiled", [False, True])
def test_the_block_outputs_are_those_of_the_plain_forward_pass(compiled: bool) -> None:
    backbone = make_network(depth=3)
    expected = list(backbone.forward_blocks(make_pixels(0)))
    found = list(run_measured(backbone, make_pixels(0), compiled=compiled))
    assert len(found) == len(expected) == 4
    for (tokens, rows), reference in zip(found, expected, strict=True):
        torch.testing.assert_close(tokens, reference, rtol=1e-5, atol=1e-5)
        assert rows is None  # which only the kernels measure, on a GPU


def test_one_compilation_serves_all_blocks_and_batches(counter: CompileCounterWithBackend) -> None:
    backbone = make_network(depth=4)
    for seed in range(2):
        list(run_measured(backbone, make_pixels(seed), compiled=True))
    assert counter.frame_count == 1
