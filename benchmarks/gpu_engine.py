"""The statistics on a GPU: ``python -m benchmarks.gpu_engine --out results.json``.

Three tables from one run:

1. exactness: both engines against float64 on block outputs with outlier channels, massive tokens
   and non-finite tokens, in the measure |Δmean|/rms, |Δstd|/std, |Δmax|/max (worst channel);
2. kernel time per block output, against the time to read it once at copy bandwidth;
3. forward with statistics against the forward alone, eager and compiled, after one batch in which
   any wait of the host for the device is an error.

``--sweep`` adds a table over the launch plan of `measure_tile`, and skips the third.
"""

from __future__ import annotations

import argparse
import copy
import gc
import itertools
import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.profiler import ProfilerActivity, profile

from analysis.collect.backbone.variants import get_variant
from analysis.collect.run.network import FOOTPRINT_CHANNELS
from analysis.collect.statistics import triton_engine as launch
from analysis.collect.statistics.collector import StatisticsCollector
from analysis.collect.statistics.measured_norm import apply_layer_norm
from analysis.collect.statistics.norm import NormParameters
from analysis.vocabulary import LAYER_NORM_EPS
from benchmarks.tax import MODES, build_backbone, describe, make_steps, take_turns

SHAPES = ((960, 480, 8), (256, 256, 64))
"""Width, height, images per batch."""
CASES = ("bf16-compiled", "bf16-eager", "tf32-eager", "fp32-eager")
"""What an extraction may run in; compiling gains little in the other two."""
STORAGE = 4


def make_tokens(images: int, n_tokens: int, channels: int, layers: int = 1) -> Tensor:
    """Return block outputs ``(layers, images, n_tokens, channels)`` as trained backbones give."""
    generator = torch.Generator("cuda").manual_seed(0)
    tokens = torch.randn(
        layers, images, n_tokens, channels, generator=generator, device="cuda", dtype=torch.float32
    )
    tokens *= torch.linspace(0.2, 4, channels, device="cuda")
    tokens += torch.randn(channels, generator=generator, device="cuda")
    tokens[..., 5] += 300
    tokens[:, :, 9, 7] = 2000
    return tokens


def exactness(channels: int) -> dict[str, float]:
    """Return the worst error of each engine, representation and statistic; 1e-5 is the goal."""
    images, patches = 8, 450
    tokens = make_tokens(images, 1 + STORAGE + patches, channels, layers=3)
    tokens[1, 2, 20, 3] = torch.nan
    tokens[2] += 1e4
    norm = NormParameters(torch.ones(channels), torch.zeros(channels))
    worst: dict[str, float] = {}
    results: dict[str, dict[str, Tensor]] = {}
    for engine in ("torch", "triton"):
        collector = StatisticsCollector(
            2,
            channels,
            STORAGE,
            "cuda",
            extras=True,
            engine="torch" if engine == "torch" else "triton",
        )
        for batch in (slice(0, 5), slice(5, 8)):
            indices = torch.arange(images)[batch]
            collector.begin_batch(indices, torch.ones_like(indices, dtype=torch.bool))
            for layer in (-1, 0, 1):
                collector.observe(layer, tokens[layer + 1, batch])
            collector.commit_batch()
        results[engine] = collector.state_dict()
        for layer, names in collector.finalize(norm).layers.items():
            for name, role in itertools.product(("pre", "per_layer_ln"), ("cls", "patch")):
                found = names[name][role]
                part = slice(0, 1) if role == "cls" else slice(1 + STORAGE, None)
                rows = tokens[layer + 1].double()
                if name == "per_layer_ln":
                    rows = torch.nn.functional.layer_norm(rows, (channels,), eps=norm.eps)
                rows = rows[:, part].flatten(0, 1)
                rows = rows[rows.isfinite().all(1)].cpu()
                assert found.count == len(rows), (engine, layer, name, role, found.count)
                mean, std = rows.mean(0), rows.std(0, unbiased=False)
                rms, peak = (mean.square() + std.square()).sqrt(), rows.abs().amax(0)
                for key, value, scale in (
                    ("mean", mean, rms),
                    ("std", std, std),
                    ("max_abs", peak, peak),
                ):
                    error = ((getattr(found, key).double() - value).abs() / scale).max().item()
                    label = f"{engine} {name} {key}"
                    worst[label] = max(worst.get(label, 0.0), error)
    differing = [
        name
        for name, tensor in results["torch"].items()
        if not tensor.is_floating_point() and not torch.equal(tensor, results["triton"][name])
    ]
    # A norm on the edge of a bin may fall to either side; every other count must be equal.
    assert set(differing) <= {"norm_hist"}, differing
    worst["norm_hist tokens that differ"] = float(
        (results["torch"]["norm_hist"] - results["triton"]["norm_hist"]).abs().sum()
    )
    return worst


def norm_error(channels: int) -> dict[str, float]:
    """Return how far the norm that measures is from float64, in units of its outputs' rms."""
    tokens = make_tokens(8, 450, channels)[0]
    norm = nn.LayerNorm(channels, eps=LAYER_NORM_EPS, device="cuda").requires_grad_(False)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    found, _ = apply_layer_norm(tokens, norm)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        rounded, _ = apply_layer_norm(tokens, norm)
    expected = copy.deepcopy(norm).double()(tokens.double())
    rms = expected.square().mean().sqrt()
    half_a_step = expected.abs() * 2**-8  # rounded to the nearest, not cut off
    assert ((rounded - expected).abs() <= half_a_step + 1e-5 * rms).all()
    return {
        name: ((value - expected).abs().max() / rms).item()
        for name, value in (("ours", found), ("torch", norm(tokens)))
    }


def median_microseconds(step: Callable[[int], object], repeats: int = 60) -> float:
    """Return the median device time of ``step(i)``, events around each call."""
    for index in range(10):
        step(index)
    times = []
    for index in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        step(index)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1e3)
    return sorted(times)[repeats // 2]


def per_output(
    channels: int, shape: tuple[int, int, int], engine: Literal["torch", "triton"], *, extras: bool
) -> float:
    """Return microseconds of kernels per block output, its share of begin and commit included."""
    width, height, images = shape
    grid = height // 16, width // 16
    layers = 6  # in turn, so that none is still in the cache
    tokens = make_tokens(images, 1 + STORAGE + grid[0] * grid[1], channels, layers)
    collector = StatisticsCollector(
        layers,
        channels,
        STORAGE,
        "cuda",
        extras=extras,
        engine=engine,
        watched=torch.arange(FOOTPRINT_CHANNELS).expand(layers, -1),
        grid=grid,
    )
    indices = torch.arange(images)
    valid = torch.ones(images, dtype=torch.bool)

    def batch() -> None:
        collector.begin_batch(indices, valid)
        for layer in range(layers):
            collector.observe(layer, tokens[layer])
        collector.commit_batch()

    repeats = 5
    batch()
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        for _ in range(repeats):
            batch()
        torch.cuda.synchronize()
    spent = sum(event.self_device_time_total for event in profiled.key_averages())
    return spent / repeats / layers


def copy_microseconds(channels: int, shape: tuple[int, int, int]) -> float:
    """Return the time that reading a block output would take at the copy bandwidth."""
    width, height, images = shape
    n_tokens = 1 + STORAGE + (width // 16) * (height // 16)
    source = torch.randn(6, images, n_tokens, channels, device="cuda")
    target = torch.empty_like(source)
    return median_microseconds(lambda _: target.copy_(source)) / 6 / 2


def tax(
    name: str,
    shape: tuple[int, int, int],
    precision: str,
    *,
    compiled: bool,
    rounds: int,
) -> dict[str, float]:
    """Return rates, ratios and peak memory of forward alone and with statistics.

    A turn takes about a second without a wait: an extraction does not wait between batches either,
    and what a batch leaves to do runs beside the next one.
    """
    width, height, images = shape
    backbone = build_backbone(name, "cuda")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "fp32"
    pixels = torch.randn(images, 3, height, width, device="cuda")
    context: AbstractContextManager[object] = (
        torch.autocast("cuda", dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
    )

    def clock() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    with torch.inference_mode(), context:
        steps = make_steps(backbone, pixels, compiled=compiled)
        counters.clear()
        start = clock()
        steps["extras"]()
        first, graphs = clock() - start, counters["stats"]["unique_graphs"]
        for step in steps.values():
            step()
        torch.cuda.set_sync_debug_mode("error")
        for step in steps.values():
            step()
        torch.cuda.set_sync_debug_mode("default")
        start = clock()
        steps["forward"]()
        repeats = min(max(round(1 / (clock() - start)), 2), 12)
        seconds = take_turns(steps, rounds, clock=clock, warmup=1, repeats=repeats)
    result = describe(seconds, images)
    if compiled:
        result["first batch seconds"] = first
        result["compiled graphs"] = float(graphs)
    del steps
    for mode in MODES:
        with torch.inference_mode(), context:
            # Only this mode's collector stays alive: memory is counted for it alone.
            step = make_steps(backbone, pixels, compiled=compiled)[mode]
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            step()
        result[f"{mode} peak GiB"] = torch.cuda.max_memory_allocated() / 2**30
        del step
    return result


def sweep(channels: int, shape: tuple[int, int, int]) -> dict[str, float]:
    """Return microseconds per block output, extras included, over launch plans."""
    planned = launch.plan_launch
    result = {}
    for (warps, chunk), unroll, resident in itertools.product(
        ((1, 1), (2, 2), (4, 4)), (2, 4), (6, 10, 16)
    ):

        def plan(
            images: int,
            n_tokens: int,
            singles: int,
            channels: int,
            processors: int,
            chosen: tuple[int, int, int, int] = (warps, chunk, unroll, resident),
        ) -> launch.LaunchPlan:
            warps, chunk, unroll, resident = chosen
            programs = processors * resident / launch.RESIDENT
            base = planned(images, n_tokens, singles, channels, math.ceil(programs))
            rows = -(-base.tile_rows // chunk) * chunk
            tiles = -(-(n_tokens - singles) // rows)
            return replace(
                base, tile_rows=rows, tiles=tiles, chunk=chunk, unroll=unroll, warps=warps
            )

        name = f"warps {warps} chunk {chunk} unroll {unroll} programs/SM {resident}"
        launch.plan_launch = plan
        try:
            result[name] = per_output(channels, shape, "triton", extras=True)
        except Exception as error:  # a plan that does not fit the device
            print(name, "failed:", type(error).__name__)
        finally:
            launch.plan_launch = planned
    return dict(sorted(result.items(), key=lambda item: item[1]))


def show(title: str, values: dict[str, float], limit: int | None = None) -> None:
    print(f"\n{title}")
    for name, value in list(values.items())[:limit]:
        print(f"  {name:44} {value:12.4g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="dinov3_vith16plus")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cases", nargs="*", default=CASES, help="precision-mode")
    parser.add_argument("--shape", type=int, choices=range(len(SHAPES)), help="one of them only")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    channels = get_variant(arguments.backbone).embed_dim
    report: dict[str, object] = {
        "card": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "backbone": arguments.backbone,
    }

    def save(title: str, values: dict[str, float], limit: int | None = None) -> None:
        show(title, values, limit)
        report[title] = values
        if arguments.out:
            arguments.out.write_text(json.dumps(report, indent=2))

    save("exactness, worst error", exactness(channels))
    save("the norm that measures, worst error over rms", norm_error(channels))
    for shape in SHAPES if arguments.shape is None else (SHAPES[arguments.shape],):
        label = "{}x{} batch {}".format(*shape)
        copied = copy_microseconds(channels, shape)
        times = {"read at copy bandwidth": copied}
        for engine, extras in itertools.product(("triton", "torch"), (False, True)):
            spent = per_output(
                channels, shape, "torch" if engine == "torch" else "triton", extras=extras
            )
            times[f"{engine} {'extras' if extras else 'no-extras'}"] = spent
        save(f"kernel microseconds per block output, {label}", times)
        if arguments.sweep:
            save(f"launch plans, microseconds, {label}", sweep(channels, shape), limit=12)
            continue
        for case in arguments.cases:
            precision, mode = case.split("-")
            compiled = mode == "compiled"
            values = tax(
                arguments.backbone, shape, precision, compiled=compiled, rounds=arguments.rounds
            )
            save(f"forward, {precision} {mode}, {label}", values)
            torch.compiler.reset()
            gc.collect()  # the compiled network, whose memory would count in the next case


if __name__ == "__main__":
    main()
