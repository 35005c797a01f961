"""One block output to the moments of its layer, through the kernels; needs Triton.

Stands in for `reduction` on a GPU: the same function, the same results.
"""

# Kernels are called in Triton's own way, which type checkers do not know.
# pyright: reportCallIssue=false

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from analysis.statistics.batch import Batch, sample_stride
from analysis.statistics.kernels import CANDIDATES, PACKED_BITS, fold_tiles, measure_tile

FOLD_WIDTH = 32
"""Channels per program of the second kernel."""


@dataclass(frozen=True)
class LaunchPlan:
    """How a block output is cut into programs."""

    tile_rows: int
    """Patches per tile."""
    tiles: int
    """Tiles per image, single tokens included."""
    chunk: int
    """Rows in registers at a time."""
    stages: int
    """Chunks being loaded ahead."""
    warps: int
    """Warps per program."""


def plan_launch(
    images: int, n_tokens: int, singles: int, channels: int, processors: int
) -> LaunchPlan:
    """Cut a block output so that every multiprocessor gets two tiles, and no tile is tiny.

    Args:
        images: Images in the batch.
        n_tokens: Tokens per image.
        singles: CLS and storage tokens, each a tile of its own.
        channels: Embedding dimension.
        processors: Multiprocessors of the device.
    """
    width, patches = triton.next_power_of_2(channels), n_tokens - singles
    chunk = 4 if width <= 2048 else 2
    rows = triton.cdiv(images * patches, 2 * processors)
    # At most 64 tiles per image: the second kernel holds all of them in registers.
    rows = max(rows, triton.cdiv(patches, 64), chunk)
    rows = min(triton.cdiv(rows, chunk) * chunk, 2**PACKED_BITS - chunk)
    warps = min(max(width // 128, 1), 16)
    return LaunchPlan(rows, singles + triton.cdiv(patches, rows), chunk, stages=3, warps=warps)


@functools.cache
def _processors(device: torch.device) -> int:
    if device.type != "cuda":  # Triton's interpreter
        return 8
    return torch.cuda.get_device_properties(device).multi_processor_count


def reduce_tokens(tokens: Tensor, layer: int, batch: Batch) -> None:
    """Measure one block output into the batch; see `reduction.reduce_tokens`.

    Args:
        tokens: ``(images, 1 + storage + patches, channels)``, any float dtype, on a GPU.
        layer: Block index, or -1 for the tokens that enter block 0.
        batch: Receives the layer's slot of everything.
    """
    tokens = tokens.contiguous()
    images, n_tokens, channels = tokens.shape
    state = batch.state
    extras = bool(batch.keys.shape[0])
    singles, cells = state.low.shape[2] - 1, state.count.shape[1]
    plan = plan_launch(images, n_tokens, singles, channels, _processors(tokens.device))
    slot = batch.enter(layer, n_tokens, candidates=CANDIDATES * plan.tiles)

    counts = tokens.new_empty(images, plan.tiles, dtype=torch.float32)
    sums = tokens.new_empty(images, plan.tiles, 8, channels, dtype=torch.float32)
    pivots = tokens.new_empty(images, 2, channels, dtype=torch.float32)
    places = tokens.new_empty(images, plan.tiles, 2 * extras, channels, dtype=torch.int32)
    kept = slot if extras else slice(0)
    measure_tile[plan.tiles, images](
        tokens,
        batch.valid,
        batch.norms[slot],
        counts,
        sums,
        pivots,
        places,
        batch.largest[kept],
        n_tokens,
        plan.tile_rows,
        singles=singles,
        channels=channels,
        width=triton.next_power_of_2(channels),
        chunk=plan.chunk,
        stages=plan.stages,
        padded_rows=triton.next_power_of_2(plan.tile_rows),
        extras=extras,
        num_warps=plan.warps,
    )
    fold_tiles[cells, triton.cdiv(channels, FOLD_WIDTH), 2](
        batch.indices,
        counts,
        sums,
        pivots,
        places,
        state.mean[slot],
        state.m2[slot],
        state.low[slot],
        state.high[slot],
        batch.keys[kept],
        state.exceed[kept],
        images,
        n_tokens,
        plan.tiles,
        singles=singles,
        channels=channels,
        padded_tiles=triton.next_power_of_2(plan.tiles),
        block=FOLD_WIDTH,
        extras=extras,
        num_warps=4,
    )
    batch.singles[slot] = tokens[:, :singles]
    if extras:
        batch.samples[slot] = tokens.flatten(1)[:, :: sample_stride(n_tokens, channels)]
