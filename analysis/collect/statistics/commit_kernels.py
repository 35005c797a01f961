"""Triton kernels that fold a measured batch into the running statistics.

1. `count_tokens`: one program per block output and image counts its tokens and bins their norms.
2. `merge_cells`: one program per block output, representation, role and block of channels merges
   the images of a batch into their groups, in float64 and in the order of the groups.
3. `merge_ranges`: the same for signed ranges, places of the peaks and exceedances.
4. `add_counts`: one program per block output adds what is left, after all have read the counts.
5. `add_footprints`: magnitudes of the watched channels, patch by patch.

They do what `Batch.settle` and `CollectorState.add_batch` do, which start some hundred operations.
Floating-point sums have one order, so that the results are the same in every run.
"""

# Kernel code is Triton's language, which type checkers read as Python.
# pyright: reportGeneralTypeIssues=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportPossiblyUnboundVariable=false
# A nested `if` keeps apart what is decided when compiling, and is then left out, from what is not.

from __future__ import annotations

import triton
import triton.language as tl

from analysis.collect.statistics.batch import PLACE_MASK
from analysis.collect.statistics.fold_kernels import merge_two

_PLACE_MASK = tl.constexpr(PLACE_MASK)


@triton.jit
def _count_bins(norm, low, high):
    """Return how many norms lie in each bin; NaN lies in none."""
    return tl.sum(
        ((norm[:, None] >= low[None, :]) & (norm[:, None] < high[None, :])).to(tl.int32), 0
    )


@triton.jit(do_not_specialize=["first_block", "images", "n_tokens", "cells", "roles"])
def count_tokens(
    norms,  # (slots, 2, images, n_tokens) float32, L2 norms; NaN where a token is left out
    valid,  # (images,) bool
    edges,  # (n_bins - 1,) float32
    count_out,  # of the batch, (slots, cells) int64, filled with 0
    seen_out,  # (slots, images) int32: tokens of the image that count
    nonfinite_out,  # (slots - first_block,) int64, added to
    hist_out,  # (slots, 2, roles, n_bins) int64, added to
    first_block,  # slot of block 0
    images,
    n_tokens,  # tokens per image
    cells,
    roles,
    singles: tl.constexpr,  # CLS and storage tokens
    padded_singles: tl.constexpr,
    n_bins: tl.constexpr,
    bins: tl.constexpr,  # n_bins padded to a power of two
    block: tl.constexpr,  # patches at a time
    extras: tl.constexpr,
):
    """Count the tokens of one image of one block output, and bin their norms."""
    slot, image = tl.program_id(0).to(tl.int64), tl.program_id(1)
    row = norms + (slot * 2 * images + image) * n_tokens
    bin_index = tl.arange(0, bins)
    low = tl.load(
        edges + bin_index - 1, mask=(bin_index > 0) & (bin_index < n_bins), other=-float("inf")
    )
    high = tl.load(edges + bin_index, mask=bin_index < n_bins - 1, other=float("inf"))
    patches = tl.sum(tl.zeros([block], tl.int32), 0)
    plain, normalized = tl.zeros([bins], tl.int32), tl.zeros([bins], tl.int32)
    for first in range(singles, n_tokens, block):
        token = first + tl.arange(0, block)
        inside = token < n_tokens
        norm = tl.load(row + token, mask=inside, other=float("nan"))
        patches += tl.sum((norm == norm).to(tl.int32), 0)
        if extras:
            plain += _count_bins(norm, low, high)
            norm = tl.load(row + images * n_tokens + token, mask=inside, other=float("nan"))
            normalized += _count_bins(norm, low, high)

    position = tl.arange(0, padded_singles)
    norm = tl.load(row + position, mask=position < singles, other=float("nan"))
    seen = (norm == norm).to(tl.int32)
    counts = count_out + slot * cells
    tl.store(counts + image + position, seen.to(tl.int64), mask=position == 0)
    tl.store(counts + images + image, patches.to(tl.int64))
    is_storage = (position > 0) & (position < singles)
    tl.atomic_add(counts + 2 * images + position - 1, seen.to(tl.int64), mask=is_storage)
    measured = patches + tl.sum(seen, 0)
    lost = tl.where(tl.load(valid + image), n_tokens - measured, 0).to(tl.int64)
    tl.atomic_add(nonfinite_out + slot - first_block, lost, mask=slot >= first_block)
    if extras:
        tl.store(seen_out + slot * images + image, measured)
        role = tl.where(position > 0, position + 1, 0)
        for representation in tl.static_range(2):
            out = hist_out + (slot * 2 + representation) * roles * n_bins
            binned = plain if representation == 0 else normalized
            tl.atomic_add(
                out + n_bins + bin_index,
                binned.to(tl.int64),
                mask=(binned > 0) & (bin_index < n_bins),
            )
            its_row = row + representation * images * n_tokens
            norm = tl.load(its_row + position, mask=position < singles, other=float("nan"))
            within = (norm[:, None] >= low[None, :]) & (norm[:, None] < high[None, :])
            tl.atomic_add(
                out + role[:, None] * n_bins + bin_index[None, :],
                within.to(tl.int64),
                mask=within & (bin_index < n_bins)[None, :],
            )


@triton.jit(do_not_specialize=["images", "groups", "roles"])
def merge_cells(
    counts,  # of the batch, (slots, 2 * images + storage) int64
    means,  # of the batch, (slots, 2, 2 * images + storage, channels) float64
    squares,  # of the batch, likewise
    order,  # (images,) int64: images of the batch by group
    group_of,  # (images,) int64: group of each in that order
    count_in,  # (slots, 2 * groups + storage) int64, which `add_counts` changes later
    mean_out,  # (slots, 2, 2 * groups + storage, channels) float64, merged into
    m2_out,  # likewise
    image_count_in,  # (slots, 2) int64, which `add_counts` changes later
    image_mean_out,  # (slots, 2, 2, channels) float64, merged into
    image_m2_out,  # likewise
    images,
    groups,
    roles,
    channels: tl.constexpr,
    block: tl.constexpr,  # channels per program
    extras: tl.constexpr,
):
    """Merge the cells of one role and representation, image by image."""
    role = tl.program_id(0) % roles
    representation = (tl.program_id(0) // roles) % 2
    slot = (tl.program_id(0) // (2 * roles)).to(tl.int64)
    channel = tl.program_id(1) * block + tl.arange(0, block)
    inside = channel < channels
    is_storage = role > 1  # one cell, whatever the groups
    parts = tl.where(is_storage, 1, images)
    cells_in, cells_out = 2 * images + roles - 2, 2 * groups + roles - 2
    first_in = tl.where(is_storage, 2 * images + role - 2, role * images)
    first_out = tl.where(is_storage, 2 * groups + role - 2, role * groups)

    count = tl.sum(tl.zeros([block], tl.float64), 0)
    mean, m2 = tl.zeros([block], tl.float64), tl.zeros([block], tl.float64)
    image_count = count
    image_mean, image_m2 = mean, m2
    previous = tl.full([], -1, tl.int64)
    for index in range(parts):
        image = tl.where(is_storage, 0, tl.load(order + index))
        group = tl.where(is_storage, 0, tl.load(group_of + index))
        following = tl.load(group_of + index + 1, mask=index + 1 < parts, other=-1)
        begins, ends = group != previous, group != following
        read = channel < tl.where(begins, channels, 0)
        write = channel < tl.where(ends, channels, 0)
        previous = group
        into = first_out + group
        at = ((slot * 2 + representation) * cells_out + into) * channels + channel
        before = tl.load(count_in + slot * cells_out + into, mask=begins, other=0).to(tl.float64)
        count = tl.where(begins, before, count)
        mean = tl.where(begins, tl.load(mean_out + at, mask=read, other=0), mean)
        m2 = tl.where(begins, tl.load(m2_out + at, mask=read, other=0), m2)

        cell = first_in + image
        n = tl.load(counts + slot * cells_in + cell).to(tl.float64)
        source = ((slot * 2 + representation) * cells_in + cell) * channels + channel
        part_mean = tl.load(means + source, mask=inside, other=0)
        part_m2 = tl.load(squares + source, mask=inside, other=0)
        count, mean, m2 = merge_two(count, mean, m2, n, part_mean, part_m2)
        tl.store(mean_out + at, mean, mask=write)
        tl.store(m2_out + at, m2, mask=write)
        if extras:
            one = tl.where(n > 0, 1.0, 0.0).to(tl.float64)
            image_count, image_mean, image_m2 = merge_two(
                image_count, image_mean, image_m2, one, part_mean, part_m2 * 0
            )
    if extras:
        kept = channel < tl.where(is_storage, 0, channels)
        at = ((slot * 2 + representation) * 2 + role) * channels + channel
        before = tl.load(image_count_in + slot * 2 + role, mask=role < 2, other=0).to(tl.float64)
        mean = tl.load(image_mean_out + at, mask=kept, other=0)
        m2 = tl.load(image_m2_out + at, mask=kept, other=0)
        _, mean, m2 = merge_two(before, mean, m2, image_count, image_mean, image_m2)
        tl.store(image_mean_out + at, mean, mask=kept)
        tl.store(image_m2_out + at, m2, mask=kept)


@triton.jit(do_not_specialize=["n_tokens", "roles"])
def merge_ranges(
    low_in,  # of the batch, (slots, 2, roles, channels) float32
    high_in,  # likewise
    keys,  # of the batch, (slots, roles, channels) int64, see `Batch`
    exceed_in,  # of the batch, (slots, roles, 3, channels) int64
    indices,  # (images,) int64, position in the image list
    low_out,  # (slots, 2, roles, channels) float32, merged into
    high_out,  # likewise
    peak_out,  # (slots, roles, channels, 2) int32: image and patch of the peak, merged into
    exceed_out,  # (slots, roles, 3, channels) int64, added to
    n_tokens,  # tokens per image
    roles,
    channels: tl.constexpr,
    block: tl.constexpr,  # channels per program
    extras: tl.constexpr,
):
    """Merge the ranges of one role, and with extras the places of its peaks and exceedances."""
    role, slot = tl.program_id(0) % roles, (tl.program_id(0) // roles).to(tl.int64)
    channel = tl.program_id(1) * block + tl.arange(0, block)
    inside = channel < channels
    for representation in tl.static_range(2):
        at = ((slot * 2 + representation) * roles + role) * channels + channel
        low, high = tl.load(low_in + at, mask=inside), tl.load(high_in + at, mask=inside)
        low_before = tl.load(low_out + at, mask=inside)
        high_before = tl.load(high_out + at, mask=inside)
        tl.store(low_out + at, tl.minimum(low_before, low), mask=inside)
        tl.store(high_out + at, tl.maximum(high_before, high), mask=inside)
        if extras and representation == 0:
            ours, theirs = tl.maximum(-low_before, high_before), tl.maximum(-low, high)
            at = (slot * roles + role) * channels + channel
            key = tl.load(keys + at, mask=inside, other=-1)
            missing = key < 0
            place = _PLACE_MASK - (key & _PLACE_MASK)
            image = tl.load(indices + place // n_tokens, mask=inside & ~missing, other=-1)
            patch = tl.where(missing | (role != 1), -1, place % n_tokens - (roles - 1))
            image_before = tl.load(peak_out + 2 * at, mask=inside, other=0)
            patch_before = tl.load(peak_out + 2 * at + 1, mask=inside, other=0)
            is_same = image == image_before
            is_earlier = (image < image_before) | (is_same & (patch < patch_before))
            take = inside & ((theirs > ours) | ((theirs == ours) & is_earlier))
            tl.store(peak_out + 2 * at, image.to(tl.int32), mask=take)
            tl.store(peak_out + 2 * at + 1, patch.to(tl.int32), mask=take)
            for level in tl.static_range(3):
                at = ((slot * roles + role) * 3 + level) * channels + channel
                more = tl.load(exceed_in + at, mask=inside, other=0)
                tl.store(exceed_out + at, tl.load(exceed_out + at, mask=inside) + more, mask=inside)


@triton.jit(do_not_specialize=["images", "groups", "roles"])
def add_counts(
    counts,  # of the batch, (slots, 2 * images + storage) int64
    order,  # (images,) int64: images of the batch by group
    group_of,  # (images,) int64: group of each in that order
    seen,  # (slots, images) int32: tokens that count
    largest,  # (slots, images, candidates) float32
    medians,  # (slots, images) float32
    count_out,  # (slots, 2 * groups + storage) int64, added to
    image_count_out,  # (slots, 2) int64, added to
    top_sum_out,  # (slots, 4) float64, added to
    top_images_out,  # (slots,) int64, added to
    images,
    groups,
    roles,
    candidates: tl.constexpr,
    padded_candidates: tl.constexpr,
    padded_images: tl.constexpr,
    padded_roles: tl.constexpr,
    extras: tl.constexpr,
):
    """Add the counts of one block output, and with extras its images' largest magnitudes."""
    slot = tl.program_id(0).to(tl.int64)
    counts += slot * (2 * images + roles - 2)
    count_out += slot * (2 * groups + roles - 2)
    index = tl.arange(0, padded_images)
    there = index < images
    image = tl.load(order + index, mask=there, other=0)
    group = tl.load(group_of + index, mask=there, other=0)
    for role in tl.static_range(2):
        n = tl.load(counts + role * images + image, mask=there, other=0)
        tl.atomic_add(count_out + role * groups + group, n, mask=there)
        if extras:
            at = image_count_out + slot * 2 + role
            tl.store(at, tl.load(at) + tl.sum((n > 0).to(tl.int64), 0))
    storage = tl.arange(0, padded_roles)
    is_storage = storage < roles - 2
    n = tl.load(counts + 2 * images + storage, mask=is_storage, other=0)
    at = count_out + 2 * groups + storage
    tl.store(at, tl.load(at, mask=is_storage, other=0) + n, mask=is_storage)
    if extras:
        use = there & (tl.load(seen + slot * images + index, mask=there, other=0) > 0)
        candidate = tl.arange(0, padded_candidates)
        values = tl.load(
            largest + (slot * images + index)[:, None] * candidates + candidate[None, :],
            mask=there[:, None] & (candidate < candidates)[None, :],
            other=-float("inf"),
        )
        for rank in tl.static_range(3):
            top = tl.sum(tl.where(use, tl.max(values, 1), 0.0).to(tl.float64), 0)
            at = top_sum_out + slot * 4 + rank
            tl.store(at, tl.load(at) + top)
            is_top = candidate[None, :] == tl.argmax(values, 1)[:, None]
            values = tl.where(is_top, -float("inf"), values)
        median = tl.load(medians + slot * images + index, mask=use, other=0).to(tl.float64)
        at = top_sum_out + slot * 4 + 3
        tl.store(at, tl.load(at) + tl.sum(median, 0))
        at = top_images_out + slot
        tl.store(at, tl.load(at) + tl.sum(use.to(tl.int64), 0))


@triton.jit(do_not_specialize=["images", "n_tokens", "watched"])
def add_footprints(
    footprint,  # (slots, images, patches, watched) float32
    norms,  # (slots, 2, images, n_tokens) float32; NaN where a token is left out
    sum_out,  # (slots, patches, watched) float64, added to
    count_out,  # (slots, patches) int64, added to
    images,
    n_tokens,  # tokens per image
    watched,
    singles: tl.constexpr,  # CLS and storage tokens
    width: tl.constexpr,  # watched padded to a power of two
    block: tl.constexpr,  # patches per program
):
    """Add the magnitudes of the watched channels at some patches of one block output."""
    slot = tl.program_id(0).to(tl.int64)
    patches = n_tokens - singles
    patch = tl.program_id(1) * block + tl.arange(0, block)
    inside = patch < patches
    channel = tl.arange(0, width)[None, :]
    is_watched = channel < watched
    total = tl.zeros([block, width], tl.float64)
    count = tl.zeros([block], tl.int64)
    for image in range(images):
        norm = norms + (slot * 2 * images + image) * n_tokens + singles + patch
        norm = tl.load(norm, mask=inside, other=float("nan"))
        use = norm == norm
        at = ((slot * images + image) * patches + patch)[:, None] * watched + channel
        value = tl.load(footprint + at, mask=use[:, None] & is_watched, other=0)
        total += value.to(tl.float64)
        count += use.to(tl.int64)
    at = slot * patches + patch
    tl.store(count_out + at, tl.load(count_out + at, mask=inside) + count, mask=inside)
    at = at[:, None] * watched + channel
    kept = inside[:, None] & is_watched
    tl.store(sum_out + at, tl.load(sum_out + at, mask=kept) + total, mask=kept)
