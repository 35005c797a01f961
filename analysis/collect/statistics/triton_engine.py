"""Block outputs to the moments of their layers, through the kernels; needs Triton.

Stands in for `reduction` on a GPU: the same results.
"""

# Kernels are called in Triton's own way, which type checkers do not know.
# pyright: reportCallIssue=false

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from analysis.collect.statistics.batch import MEDIAN_SAMPLE, Batch, sample_stride
from analysis.collect.statistics.fold_kernels import (
    find_medians,
    fold_singles,
    fold_tiles,
    measure_singles,
)
from analysis.collect.statistics.kernels import (
    CANDIDATES,
    PACKED_BITS,
    find_largest,
    judge_rows,
    measure_tile,
)
from analysis.collect.statistics.launch import launch
from analysis.collect.statistics.measured_norm import measure
from analysis.collect.statistics.moments import RowMoments
from analysis.collect.statistics.state import CollectorState
from analysis.collect.statistics.triton_commit import commit

STRIPE = 128
"""Channels per program that measures; the dimensions of all released backbones are multiples."""
RESIDENT = 12
"""Programs per multiprocessor; their registers allow no more than 25."""
JUDGED = 32
"""Tokens per program that decides which of them count."""
FOLD_WIDTH = 16
"""Channels per program that merges tiles; twice as many where it merges single tokens."""
FOLD_TILES = 3
"""Block outputs whose tiles are merged at a time: few launches, and little memory in wait."""
FOLD_SINGLES = 9
"""The same for single tokens and samples, which are smaller."""


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
    """Chunks in one turn of the loop."""
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
    patches, chunk = n_tokens - singles, 1
    tiles = RESIDENT * processors // (images * triton.cdiv(channels, STRIPE))
    rows = max(triton.cdiv(patches, min(max(tiles, 1), 64)), 32)
    rows = min(triton.cdiv(rows, chunk) * chunk, 2**PACKED_BITS - chunk)
    return LaunchPlan(rows, triton.cdiv(patches, rows), chunk, unroll=4, warps=1)


@functools.cache
def _processors(device: torch.device) -> int:
    if device.type != "cuda":  # Triton's interpreter
        return 8
    return torch.cuda.get_device_properties(device).multi_processor_count


@dataclass(frozen=True)
class _Parts:
    """What the kernels leave for the merge, with an axis of block outputs before all others."""

    plan: LaunchPlan
    sampled: int
    """Values in an image's sample."""
    counts: Tensor
    sums: Tensor
    pivots: Tensor
    places: Tensor
    singles: Tensor
    single_rows: Tensor
    samples: Tensor


@dataclass
class _Queue:
    """Consecutive block outputs that wait to be merged."""

    room: int
    first: int = 0
    held: int = 0

    def add(self, layer: int) -> int:
        """Take a layer and return its place."""
        if not self.held:
            self.first = layer
        self.held += 1
        return self.held - 1

    def ends_before(self, layer: int) -> bool:
        """Whether the layer must wait in another queue: this one is full, or has a gap."""
        return self.held == self.room or (self.held > 0 and layer != self.first + self.held)


class TritonEngine:
    """Measures block outputs into a batch, as `reduction.TorchEngine` does, on a GPU.

    Args:
        batch: Receives the slots of everything.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._shape: tuple[int, int] | None = None
        self._tiles, self._singles = _Queue(FOLD_TILES), _Queue(FOLD_SINGLES)

    def measure(self, tokens: Tensor, layer: int, rows: RowMoments | None = None) -> None:
        """Measure one block output.

        Args:
            tokens: ``(images, 1 + storage + patches, channels)``, any float dtype, on a GPU.
            layer: Block index, or -1 for the tokens that enter block 0.
            rows: Of these tokens, where the network has measured them.
        """
        batch, state = self._batch, self._batch.state
        tokens = tokens.contiguous()
        images, n_tokens, channels = tokens.shape
        slot = batch.enter(layer, n_tokens, candidates=CANDIDATES)
        if len(batch.observed) == 1:
            self._tiles.held = self._singles.held = 0
            if self._shape != (images, n_tokens):
                self._parts = self._allocate(images, n_tokens)
                self._shape = images, n_tokens
        if self._tiles.ends_before(layer):
            self._fold_tiles()
        if self._singles.ends_before(layer):
            self._fold_singles()
        parts, place, single = self._parts, self._tiles.add(layer), self._singles.add(layer)

        kept = slot if batch.extras else slice(0)
        singles, watched = state.low.shape[2] - 1, state.watched.shape[1]
        sizes = {"channels": channels, "extras": batch.extras}
        width = triton.next_power_of_2(channels)
        stride = sample_stride(n_tokens, channels)
        scales, peaks = tokens.new_empty(4, images, n_tokens, dtype=torch.float32).split((3, 1))
        launch(
            judge_rows,
            (triton.cdiv(n_tokens, JUDGED) + singles, images),
            tokens,
            *(measure(tokens) if rows is None else rows),
            batch.valid,
            state.watched[kept],
            batch.norms[slot],
            scales,
            peaks,
            parts.singles[single],
            parts.samples[single],
            batch.footprint[kept],
            n_tokens,
            images,
            stride,
            parts.sampled,
            watched,
            singles=singles,
            width=width,
            sample_width=triton.next_power_of_2(channels // stride + 1),
            watched_width=triton.next_power_of_2(max(watched, 1)),
            block=JUDGED,
            num_warps=1,
            **sizes,
        )
        plan = parts.plan
        launch(
            measure_tile,
            (triton.cdiv(channels, STRIPE), plan.tiles, images),
            tokens,
            scales,
            parts.counts[place],
            parts.sums[place],
            parts.pivots[place],
            parts.places[place],
            n_tokens,
            plan.tile_rows,
            singles=singles,
            stripe=min(STRIPE, width),
            chunk=plan.chunk,
            unroll=plan.unroll,
            padded_rows=triton.next_power_of_2(plan.tile_rows),
            num_warps=plan.warps,
            **sizes,
        )
        if batch.extras:
            launch(
                find_largest,
                (images,),
                tokens,
                peaks,
                batch.largest[slot],
                n_tokens,
                padded_tokens=triton.next_power_of_2(n_tokens),
                channels=channels,
                width=width,
                num_warps=8,
            )

    def commit(self, totals: CollectorState, groups: Tensor) -> None:
        """Fold the batch into the running statistics, see `collector.Engine`."""
        self._fold_tiles()
        self._fold_singles()
        commit(self._batch, totals, groups)

    def _allocate(self, images: int, n_tokens: int) -> _Parts:
        state, device = self._batch.state, self._batch.norms.device
        extras, channels = self._batch.extras, state.low.shape[3]
        singles = state.low.shape[2] - 1
        plan = plan_launch(images, n_tokens, singles, channels, _processors(device))
        sampled = len(range(0, n_tokens * channels, sample_stride(n_tokens, channels)))

        def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.empty((FOLD_TILES, images, *shape), dtype=dtype, device=device)

        def empty_single(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.empty((FOLD_SINGLES, images, *shape), dtype=dtype, device=device)

        return _Parts(
            plan=plan,
            sampled=sampled,
            counts=empty(plan.tiles),
            sums=empty(plan.tiles, 8, channels),
            pivots=empty(2, channels),
            places=empty(plan.tiles, 2 * extras, channels, dtype=torch.int32),
            singles=empty_single(singles, channels),
            single_rows=empty_single(singles, 2, dtype=torch.float64),
            samples=empty_single(sampled if extras else 0),
        )

    def _fold_tiles(self) -> None:
        batch, state, parts = self._batch, self._batch.state, self._parts
        images, n_tokens = batch.norms.shape[2:]
        roles, channels = state.low.shape[2:]
        layers, self._tiles.held = self._tiles.held, 0
        launch(
            fold_tiles,
            (images, triton.cdiv(channels, FOLD_WIDTH), 2 * layers),
            parts.counts,
            parts.sums,
            parts.pivots,
            parts.places,
            state.mean,
            state.m2,
            state.low,
            state.high,
            batch.keys,
            state.exceed,
            self._tiles.first + state.first_block,
            images,
            n_tokens,
            parts.plan.tiles,
            state.count.shape[1],
            roles,
            channels=channels,
            block=FOLD_WIDTH,
            extras=batch.extras,
            num_warps=1,
        )

    def _fold_singles(self) -> None:
        batch, state, parts = self._batch, self._batch.state, self._parts
        images, n_tokens = batch.norms.shape[2:]
        roles, channels = state.low.shape[2:]
        layers, self._singles.held = self._singles.held, 0
        where = self._singles.first + state.first_block, images
        launch(
            measure_singles,
            (layers * images * (roles - 1),),
            parts.singles,
            parts.single_rows,
            channels=channels,
            width=triton.next_power_of_2(channels),
            num_warps=4,
        )
        launch(
            fold_singles,
            (roles - 1, triton.cdiv(channels, 2 * FOLD_WIDTH), 2 * layers),
            parts.singles,
            parts.single_rows,
            batch.norms,
            state.mean,
            state.m2,
            state.low,
            state.high,
            batch.keys,
            state.exceed,
            *where,
            n_tokens,
            state.count.shape[1],
            roles,
            channels=channels,
            block=2 * FOLD_WIDTH,
            extras=batch.extras,
            num_warps=1,
        )
        if batch.extras:
            launch(
                find_medians,
                (images, layers),
                parts.samples,
                batch.medians,
                *where,
                parts.sampled,
                padded=MEDIAN_SAMPLE,
                num_warps=4,
            )
