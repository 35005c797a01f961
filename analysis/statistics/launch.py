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
from analysis.statistics.kernels import (
    CANDIDATES,
    PACKED_BITS,
    find_largest,
    fold,
    measure_rows,
    measure_tile,
)
from analysis.vocabulary import IMAGE_GROUPS

STRIPE = 128
"""Channels per program that measures; the dimensions of all released backbones are multiples."""
RESIDENT = 5
"""Programs that a multiprocessor holds at a time, by their registers."""
FOLD_WIDTH = 32
"""Channels per program that merges."""


@dataclass(frozen=True)
class LaunchPlan:
    """How the patches of a block output are cut into programs."""

    tile_rows: int
    """Patches per tile."""
    tiles: int
    """Tiles per image."""
    chunk: int
    """Rows in registers at a time."""
    unroll: int
    """Chunks being loaded at a time."""
    warps: int
    """Warps per program."""


def plan_launch(
    images: int, n_tokens: int, singles: int, channels: int, processors: int
) -> LaunchPlan:
    """Cut a block output so that all programs run at once: a second wave would cost as much again.

    Args:
        images: Images in the batch.
        n_tokens: Tokens per image.
        singles: CLS and storage tokens, which are no part of any tile.
        channels: Embedding dimension.
        processors: Multiprocessors of the device.
    """
    patches, chunk = n_tokens - singles, 4
    tiles = RESIDENT * processors // (images * triton.cdiv(channels, STRIPE))
    rows = max(triton.cdiv(patches, min(max(tiles, 1), 64)), 8 * chunk)
    rows = min(triton.cdiv(rows, chunk) * chunk, 2**PACKED_BITS - chunk)
    return LaunchPlan(rows, triton.cdiv(patches, rows), chunk, unroll=2, warps=4)


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
    roles, cells = state.low.shape[2], state.count.shape[1]
    singles = roles - 1
    plan = plan_launch(images, n_tokens, singles, channels, _processors(tokens.device))
    slot = batch.enter(layer, n_tokens, candidates=CANDIDATES)
    kept = slot if extras else slice(0)
    sizes = {"channels": channels, "extras": extras}
    width = triton.next_power_of_2(channels)

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=tokens.device)

    norms, rows, peaks = batch.norms[slot], empty(3, images, n_tokens), empty(images, n_tokens)
    measure_rows[(images * n_tokens,)](
        tokens,
        batch.valid,
        norms,
        rows,
        peaks,
        n_tokens,
        width=width,
        num_warps=max(1, width // 2048),
        **sizes,
    )
    counts = empty(images, plan.tiles)
    sums = empty(images, plan.tiles, 8, channels)
    pivots = empty(images, 2, channels)
    places = empty(images, plan.tiles, 2 * extras, channels, dtype=torch.int32)
    measure_tile[triton.cdiv(channels, STRIPE), plan.tiles, images](
        tokens,
        rows,
        counts,
        sums,
        pivots,
        places,
        n_tokens,
        plan.tile_rows,
        singles=singles,
        stripe=min(STRIPE, width),
        chunk=plan.chunk,
        unroll=plan.unroll,
        num_warps=plan.warps,
        **sizes,
    )
    fold[2 * IMAGE_GROUPS + roles - 2, triton.cdiv(channels, FOLD_WIDTH), 2](
        tokens,
        batch.indices,
        norms,
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
        cells,
        roles,
        padded_tiles=triton.next_power_of_2(plan.tiles),
        block=FOLD_WIDTH,
        num_warps=2,
        **sizes,
    )
    batch.singles[slot] = tokens[:, :singles]
    if extras:
        find_largest[(images,)](
            tokens,
            peaks,
            batch.largest[slot],
            n_tokens,
            padded_tokens=triton.next_power_of_2(n_tokens),
            channels=channels,
            width=width,
            num_warps=8,
        )
        batch.samples[slot] = tokens.flatten(1)[:, :: sample_stride(n_tokens, channels)]
