"""Fold a measured batch into the running statistics through the kernels; needs Triton.

Stands in for `Batch.settle` and `CollectorState.add_batch` on a GPU: the same results.
"""

# Kernels are called in Triton's own way, which type checkers do not know.
# pyright: reportCallIssue=false

from __future__ import annotations

import torch
import triton
from torch import Tensor

from analysis.collect.statistics.batch import Batch
from analysis.collect.statistics.commit_kernels import (
    add_counts,
    add_footprints,
    count_tokens,
    merge_cells,
    merge_ranges,
)
from analysis.collect.statistics.launch import launch
from analysis.collect.statistics.state import NORM_BINS, CollectorState

COUNTED = 64
"""Patches whose norms a program bins at a time."""
WIDTH = 128
"""Channels per program that merges."""
PATCHES = 32
"""Patches per program that adds footprints."""


def commit(batch: Batch, totals: CollectorState, groups: Tensor) -> None:
    """Complete the counts of a batch, and fold it into `totals`.

    Args:
        batch: Whose block outputs have all been measured and merged.
        totals: The running statistics.
        groups: int64 ``(images,)`` on the CPU, group of each image.
    """
    state, extras = batch.state, batch.extras
    slots, _, roles, channels = state.low.shape
    images, n_tokens = batch.norms.shape[2:]
    singles, columns = roles - 1, triton.cdiv(channels, WIDTH)
    # in this order a program reads and writes each group once
    order = groups.argsort(stable=True)
    in_order = batch.send(order), batch.send(groups[order])
    seen = torch.empty(slots if extras else 0, images, dtype=torch.int32, device=batch.norms.device)
    launch(
        count_tokens,
        (slots, images),
        batch.norms,
        batch.valid,
        batch.norm_edges,
        state.count,
        seen,
        totals.nonfinite,
        totals.norm_hist,
        state.first_block,
        images,
        n_tokens,
        state.count.shape[1],
        roles,
        singles=singles,
        padded_singles=triton.next_power_of_2(singles),
        n_bins=NORM_BINS,
        bins=triton.next_power_of_2(NORM_BINS),
        block=COUNTED,
        extras=extras,
        num_warps=4,
    )
    launch(
        merge_cells,
        (slots * 2 * roles, columns),
        state.count,
        state.mean,
        state.m2,
        *in_order,
        totals.count,
        totals.mean,
        totals.m2,
        totals.image_count,
        totals.image_mean,
        totals.image_m2,
        images,
        totals.groups,
        roles,
        channels=channels,
        block=WIDTH,
        extras=extras,
        num_warps=4,
    )
    launch(
        merge_ranges,
        (slots * roles, columns),
        state.low,
        state.high,
        batch.keys,
        state.exceed,
        batch.indices,
        totals.low,
        totals.high,
        totals.peak,
        totals.exceed,
        n_tokens,
        roles,
        channels=channels,
        block=WIDTH,
        extras=extras,
        num_warps=4,
    )
    candidates = batch.largest.shape[-1]
    launch(
        add_counts,
        (slots,),
        state.count,
        *in_order,
        seen,
        batch.largest,
        batch.medians,
        totals.count,
        totals.image_count,
        totals.top_sum,
        totals.top_images,
        images,
        totals.groups,
        roles,
        candidates=candidates,
        padded_candidates=triton.next_power_of_2(candidates),
        padded_images=triton.next_power_of_2(images),
        padded_roles=triton.next_power_of_2(roles),
        extras=extras,
        num_warps=4,
    )
    watched = totals.watched.shape[1]
    if watched:
        launch(
            add_footprints,
            (slots, triton.cdiv(n_tokens - singles, PATCHES)),
            batch.footprint,
            batch.norms,
            totals.footprint_sum,
            totals.footprint_count,
            images,
            n_tokens,
            watched,
            singles=singles,
            width=triton.next_power_of_2(watched),
            block=PATCHES,
            num_warps=4,
        )
