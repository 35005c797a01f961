"""What the statistics cost on top of the forward pass.

Forward alone and forward with statistics take turns, so that a clock that drifts or a neighbour on
the machine hits all of them alike; the ratio is that of the medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from analysis.collect.backbone.variants import get_variant
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.run.fused_forward import run_fused
from analysis.collect.run.measured_forward import run_measured
from analysis.collect.run.network import FOOTPRINT_CHANNELS
from analysis.collect.statistics.collector import StatisticsCollector

MODES = ("forward", "no-extras", "extras")
"""Forward alone, and with statistics without and with extras."""


def build_backbone(name: str, device: str) -> DinoVisionTransformer:
    """Return a released variant with random parameters, its residual stream of plausible size."""
    torch.manual_seed(0)
    backbone = DinoVisionTransformer(get_variant(name), device=device).eval().requires_grad_(False)
    for parameter in backbone.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.02)
    return backbone


def make_steps(
    backbone: DinoVisionTransformer,
    pixels: Tensor,
    *,
    compiled: bool = False,
    fused: bool = False,
    engine: str = "auto",
) -> dict[str, Callable[[], None]]:
    """Return one function per mode that runs a batch.

    Args:
        backbone: The network.
        pixels: Normalised images ``[B, 3, H, W]`` on its device.
        compiled: Whether the blocks are; for the forward alone they measure nothing.
        fused: Run the fused kernels, on a backbone whose linear layers were cast to bf16; for the
            forward alone too, which then measures the rows on the way.
        engine: Engine of the collector.
    """
    images, device = len(pixels), pixels.device
    indices, valid = torch.arange(images), torch.ones(images, dtype=torch.bool)
    alone = _compile_twin(backbone) if compiled else backbone

    def forward() -> None:
        for _ in run_fused(alone, pixels) if fused else alone.forward_blocks(pixels):
            pass

    def collecting(*, extras: bool) -> Callable[[], None]:
        collector = StatisticsCollector(
            backbone.depth,
            backbone.embed_dim,
            backbone.n_storage_tokens,
            device,
            extras=extras,
            engine="torch" if engine == "torch" else "auto",
            watched=torch.arange(FOOTPRINT_CHANNELS).expand(backbone.depth, -1),
            grid=backbone.patch_grid(*pixels.shape[-2:]),
        )

        def step() -> None:
            collector.begin_batch(indices, valid)
            if fused:
                outputs = run_fused(backbone, pixels)
            else:
                outputs = run_measured(backbone, pixels, compiled=compiled)
            for layer, (tokens, rows) in enumerate(outputs, start=-1):
                with torch.autocast(device.type, enabled=False):
                    collector.observe(layer, tokens, rows)
            collector.commit_batch()

        return step

    return {
        "forward": forward,
        "no-extras": collecting(extras=False),
        "extras": collecting(extras=True),
    }


def _compile_twin(backbone: DinoVisionTransformer) -> DinoVisionTransformer:
    """Return a backbone on the same parameters, its blocks compiled as they are."""
    twin = DinoVisionTransformer(backbone.variant, device="meta")
    twin.load_state_dict(backbone.state_dict(), assign=True)
    for block in twin.blocks:
        block.compile(dynamic=False)
    return twin.eval().requires_grad_(False)


def take_turns(
    steps: dict[str, Callable[[], None]],
    rounds: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    warmup: int = 3,
    repeats: int = 1,
) -> dict[str, float]:
    """Return the median seconds of every step.

    Args:
        steps: What to time.
        rounds: Measured rounds.
        clock: Read before and after; on a GPU it must wait for the device.
        warmup: Rounds before, not counted.
        repeats: Times that a step runs in its turn, between two looks at the clock: on a GPU more
            than one, since an extraction does not wait for the device between batches either.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(warmup + rounds):
        for name, step in steps.items():
            start = clock()
            for _ in range(repeats):
                step()
            if turn >= warmup:
                seconds[name].append((clock() - start) / repeats)
    return {name: statistics.median(values) for name, values in seconds.items()}


def describe(seconds: dict[str, float], images: int) -> dict[str, float]:
    """Return images/s of every mode, and each mode's rate relative to the forward alone."""
    rates = {f"{name} images/s": images / value for name, value in seconds.items()}
    ratios = {
        f"{name} ratio": seconds["forward"] / seconds[name] for name in seconds if name != "forward"
    }
    return rates | ratios
