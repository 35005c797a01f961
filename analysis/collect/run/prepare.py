"""Make the GPU ready for the first batch while the weights are still being read.

A block with parameters of no meaning goes through the whole pass, statistics included. Its matrix
products start the libraries that they come from; kernels are compiled side by side and launched
not at all. What is compiled is that of the run: only sizes decide it, not the number of blocks.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import torch

from analysis.collect.backbone.low_precision import cast_linears
from analysis.collect.backbone.variants import Variant, get_variant
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.plan.request import ExtractionPlan
from analysis.collect.run.devices import choose_precision, enter_precision
from analysis.collect.run.fused_forward import run_fused
from analysis.collect.statistics.collector import StatisticsCollector
from analysis.collect.statistics.launch import only_compile

THREADS = 8
"""Kernels that are compiled at a time."""


def will_fuse(plan: ExtractionPlan, device: torch.device) -> bool:
    """Return whether fused kernels will run, unless the adapter turns out not to allow them."""
    patch = get_variant(plan.settings.backbone_name).patch_size
    return (
        device.type == "cuda"
        and choose_precision(plan.request.precision or "auto", device) == "bf16"
        and find_spec("triton") is not None
        and plan.request.compile != "on"
        and min(plan.settings.image_size) >= patch
    )


@torch.inference_mode()
def prepare_kernels(
    variant: Variant,
    size: tuple[int, int],
    batch_size: int,
    device: torch.device,
    *,
    extras: bool,
    watched: int,
) -> None:
    """Compile and load what a run in bf16 with fused kernels needs.

    Args:
        variant: Of the backbone.
        size: Width and height in pixels.
        batch_size: Images per batch.
        device: A GPU.
        extras: Whether the payload's extras are collected.
        watched: Channels per layer whose footprint is kept.
    """
    backbone = DinoVisionTransformer(replace(variant, depth=1), device=device)
    backbone.eval().requires_grad_(False)
    cast_linears(backbone, torch.bfloat16)
    grid = backbone.patch_grid(size[1], size[0])
    collector = StatisticsCollector(
        backbone.depth,
        backbone.embed_dim,
        backbone.n_storage_tokens,
        device,
        extras=extras,
        watched=torch.arange(watched).expand(1, -1),
        grid=grid,
    )
    pixels = torch.zeros(batch_size, 3, size[1], size[0], device=device)
    valid = torch.ones(batch_size, dtype=torch.bool)
    with only_compile(THREADS, device), enter_precision("bf16", device):
        collector.begin_batch(torch.arange(batch_size), valid)
        for layer, (tokens, rows) in enumerate(run_fused(backbone, pixels), start=-1):
            with torch.autocast(device.type, enabled=False):
                collector.observe(layer, tokens, rows)
        collector.commit_batch()
