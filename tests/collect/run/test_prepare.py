"""What is prepared before the weights are there is what the run launches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from analysis.collect.backbone.low_precision import cast_linears
from analysis.collect.run.devices import enter_precision
from analysis.collect.run.fused_forward import run_fused
from analysis.collect.run.prepare import BatchShape, prepare_network, prepare_statistics
from analysis.collect.statistics import launch as launching
from analysis.collect.statistics.collector import StatisticsCollector
from tests.factories.backbones import make_backbone, tiny_variant

pytest.importorskip("triton", reason="Triton is not installed (it exists for Linux only)")

SIZE, IMAGES, WATCHED = (112, 80), 3, 8


def signature(kernel: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, ...]:
    """Return what Triton compiles a kernel for."""
    facts: list[Any] = []
    for parameter, value in zip(kernel.params, arguments, strict=False):
        fact: Any = type(value).__name__
        if isinstance(value, Tensor):
            aligned = value.data_ptr() % 16 == 0 or parameter.do_not_specialize_on_alignment
            fact = (value.dtype, aligned)
        elif isinstance(value, int) and not parameter.do_not_specialize:
            fact = value
        facts.append((parameter.name, fact))
    return kernel.__name__, tuple(facts), tuple(sorted(options.items()))


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> set[tuple[Any, ...]]:
    """Note what would be launched, and launch nothing: there is no GPU."""
    noted: set[tuple[Any, ...]] = set()
    for prepare in (prepare_network, prepare_statistics):
        prepare.cache_clear()  # a process prepares once

    def note(kernel: Any, _grid: Any, *arguments: Any, **options: Any) -> None:
        noted.add(signature(kernel, arguments, options))

    statistics = (
        "statistics.measured_norm",
        "statistics.triton_engine",
        "statistics.triton_commit",
    )
    for name in (*statistics, "run.fused_kernels"):
        monkeypatch.setattr(f"analysis.collect.{name}.launch", note)
    return noted


def run_for_real(depth: int, *, extras: bool) -> None:
    backbone = make_backbone(tiny_variant(ffn="swiglu", depth=depth)).requires_grad_(False)
    cast_linears(backbone, torch.bfloat16)
    collector = StatisticsCollector(
        depth,
        backbone.embed_dim,
        backbone.n_storage_tokens,
        "cpu",
        extras=extras,
        engine="triton",
        watched=torch.arange(WATCHED).expand(depth, -1),
        grid=backbone.patch_grid(SIZE[1], SIZE[0]),
    )
    pixels = torch.zeros(IMAGES, 3, SIZE[1], SIZE[0])
    for start in (0, IMAGES):
        indices = torch.arange(start, start + IMAGES)
        collector.begin_batch(indices, torch.ones(IMAGES, dtype=torch.bool))
        with torch.inference_mode(), enter_precision("bf16", pixels.device):
            for layer, (tokens, rows) in enumerate(run_fused(backbone, pixels), start=-1):
                collector.observe(layer, tokens, rows)
        collector.commit_batch()


@pytest.mark.parametrize("extras", [True, False])
def test_every_kernel_of_a_run_is_compiled_before_it(
    launched: set[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, extras: bool
) -> None:
    as_if_on_gpu: Callable[..., Any] = StatisticsCollector
    monkeypatch.setattr(
        "analysis.collect.run.prepare.StatisticsCollector",
        lambda *given, **named: as_if_on_gpu(*given, engine="triton", **named),
    )
    shape = BatchShape(tiny_variant(ffn="swiglu"), SIZE, IMAGES, torch.device("cpu"))
    prepare_network(shape)
    prepare_statistics(shape, WATCHED if extras else 0)
    prepared = set(launched)
    launched.clear()
    run_for_real(depth=20, extras=extras)
    missing = launched - prepared
    assert not missing, missing
    assert {name for name, _, _ in launched} >= {
        "measure_rows",
        "measure_tile",
        "fold_tiles",
        "merge_cells",
    }


@pytest.mark.parametrize("later", [False, True], ids=["compiled", "still compiling"])
def test_kernels_are_compiled_and_loaded_but_not_launched_within_the_context(later: bool) -> None:
    calls: list[str] = []

    class Compiled:
        @property
        def run(self) -> None:
            calls.append("loaded")

    class StillCompiling:
        def result(self) -> Compiled:
            return Compiled()

    class Kernel:
        def warmup(self, *_: object, **__: object) -> Compiled | StillCompiling:
            calls.append("compiled")
            return StillCompiling() if later else Compiled()

        def __getitem__(self, grid: object) -> Callable[..., None]:
            return lambda *_, **__: calls.append("launched")

    with launching.only_compile(2, torch.device("cpu")):
        launching.launch(Kernel(), (1,))
    launching.launch(Kernel(), (1,))
    assert calls == ["compiled", "loaded", "launched"]
