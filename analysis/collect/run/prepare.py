"""Make the GPU ready for the first batch while the weights are still being read, or before.

A block with parameters of no meaning goes through the whole pass, and in another thread zeros go
through the statistics. Matrix products start the libraries that they come from; kernels are
compiled side by side and launched not at all. What is compiled is that of the run: only sizes
decide it, not the number of blocks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import nn

from analysis.collect.backbone.low_precision import cast_linears
from analysis.collect.backbone.variants import Variant, get_variant
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.plan.request import ExtractionPlan
from analysis.collect.run.devices import (
    choose_batch_size,
    choose_device,
    choose_precision,
    enter_precision,
)
from analysis.collect.run.fused_forward import run_fused
from analysis.collect.run.network import FOOTPRINT_CHANNELS
from analysis.collect.statistics.collector import StatisticsCollector
from analysis.collect.statistics.launch import only_compile

THREADS = 8
"""Kernels that are compiled at a time."""
FREE = 0.5
"""Part of a GPU's memory that must be free for what is done before anybody starts a run."""

log = logging.getLogger("analysis")


def plan_batch_size(plan: ExtractionPlan, device: torch.device) -> int:
    """Return the images per batch of a run."""
    settings = plan.settings
    variant = get_variant(settings.backbone_name)
    width, height = settings.image_size
    patches = (width // variant.patch_size) * (height // variant.patch_size)
    tokens = 1 + variant.n_storage_tokens + patches
    return plan.request.batch_size or choose_batch_size(tokens, device, settings.batch_size)


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


class BatchShape(NamedTuple):
    """What decides which kernels a run needs."""

    variant: Variant
    """Of the backbone."""
    size: tuple[int, int]
    """Width and height in pixels."""
    images: int
    """Per batch."""
    device: torch.device
    """A GPU."""


@dataclass(frozen=True)
class Preparation:
    """What is going on in threads until a run can begin."""

    network: Future[None]
    """Done when the forward pass is ready."""
    statistics: Future[None]
    """Done when the statistics are."""


def begin_preparation(plan: ExtractionPlan, device: torch.device) -> Preparation:
    """Begin to compile and load the kernels of a run that `will_fuse`, once in a process.

    A GPU that is too full is no error here: the run will say so.
    """
    variant = get_variant(plan.settings.backbone_name)
    images = min(plan_batch_size(plan, device), len(plan.images.entries))
    shape = BatchShape(variant, plan.settings.image_size, images, device)
    watched = FOOTPRINT_CHANNELS if plan.request.extras else 0
    executor = ThreadPoolExecutor(2, "prepare")
    preparation = Preparation(
        executor.submit(_try, prepare_network, shape),
        executor.submit(_try, prepare_statistics, shape, watched),
    )
    executor.shutdown(wait=False)
    return preparation


def _try(prepare: Callable[..., None], *arguments: Hashable) -> None:
    try:
        prepare(*arguments)
    except RuntimeError as error:
        log.debug("kernels were not prepared: %s", error)


def prepare_ahead(plan: ExtractionPlan) -> None:
    """Load the kernels of a run that nobody has started yet.

    Afterwards this process holds what CUDA itself and the kernels need. They are not loaded on a
    GPU with less than half of its memory free: somebody trains on it, and trying them takes more.

    Raises:
        DeviceError: If the plan asks for a device that is not there.
    """
    device = choose_device(plan.request.device or "auto")
    if not will_fuse(plan, device):
        return
    try:
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError as error:
        log.debug("the GPU cannot be opened: %s", error)
        return
    if free >= FREE * total:
        preparation = begin_preparation(plan, device)
        wait((preparation.network, preparation.statistics))
        torch.cuda.empty_cache()


@cache
@torch.inference_mode()
def prepare_network(shape: BatchShape) -> None:
    """Compile and load what the forward pass in bf16 with fused kernels needs."""
    variant, (width, height), images, device = shape
    backbone = DinoVisionTransformer(replace(variant, depth=1), device=device)
    backbone.eval().requires_grad_(False)
    cast_linears(backbone, torch.bfloat16)
    pixels = torch.zeros(images, 3, height, width, device=device)
    with only_compile(THREADS, device), enter_precision("bf16", device):
        for _ in run_fused(backbone, pixels):
            pass


@cache
@torch.inference_mode()
def prepare_statistics(shape: BatchShape, watched: int) -> None:
    """Compile and load what the statistics of a batch need.

    Args:
        shape: Of the batch.
        watched: Channels per layer whose footprint is kept; 0 where no extras are collected.
    """
    from analysis.collect.statistics.measured_norm import apply_layer_norm

    variant, (width, height), images, device = shape
    grid = height // variant.patch_size, width // variant.patch_size
    n_tokens = 1 + variant.n_storage_tokens + grid[0] * grid[1]
    collector = StatisticsCollector(
        1,
        variant.embed_dim,
        variant.n_storage_tokens,
        device,
        extras=watched > 0,
        watched=torch.arange(watched).expand(1, -1) if watched else None,
        grid=grid,
    )
    tokens = torch.zeros(images, n_tokens, variant.embed_dim, device=device)
    with only_compile(THREADS, device):
        _, rows = apply_layer_norm(tokens, nn.LayerNorm(variant.embed_dim, device=device))
        valid = torch.ones(images, dtype=torch.bool)
        collector.begin_batch(torch.arange(images), valid)
        for layer in (-1, 0):
            collector.observe(layer, tokens, rows)
        collector.commit_batch()
