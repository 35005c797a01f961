"""Triton kernels that merge the partial results of `kernels`, for several block outputs at once.

1. `fold_tiles`: one program per image, block of channels and representation. It merges the image's
   tiles in float64 into the batch's state.
2. `measure_singles` and `fold_singles`: the same for CLS and storage tokens, in float64 throughout.
3. `find_medians`: the median of each image's sample of magnitudes, with extras.

A batch's state has a cell per image for CLS and for patches, and a cell per storage token.
"""

# Kernel code is Triton's language, which type checkers read as Python.
# pyright: reportGeneralTypeIssues=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportPossiblyUnboundVariable=false
# A nested `if` keeps apart what is decided when compiling, and is then left out, from what is not.
# ruff: noqa: SIM102

from __future__ import annotations

import triton
import triton.language as tl

from analysis.collect.statistics.batch import PLACE_MASK
from analysis.collect.statistics.kernels import PACKED_BITS, count_exceedances
from analysis.collect.statistics.torch_engine import LARGEST_NORM
from analysis.vocabulary import LAYER_NORM_EPS

_EPS = tl.constexpr(LAYER_NORM_EPS)
_LARGEST = tl.constexpr(LARGEST_NORM)
_BITS = tl.constexpr(PACKED_BITS)
_COUNT_MASK = tl.constexpr(2**PACKED_BITS - 1)
_PLACE_MASK = tl.constexpr(PLACE_MASK)
_FEW = tl.constexpr(4)  # tiles that `fold_tiles` adds side by side
_MANY = tl.constexpr(8)  # images that `fold_singles` takes at a time


@triton.jit
def merge_two(count, mean, m2, n, part_mean, part_m2):
    """Merge two moments by the rule of Chan, Golub & LeVeque (1983)."""
    share = n / tl.maximum(count + n, 1.0)
    delta = part_mean - mean
    return count + n, mean + delta * share, m2 + part_m2 + delta * delta * (count * share)


@triton.jit
def _peak_keys(peak, place):
    """Return sortable keys: by magnitude, then by earliest place; -1 where there is none."""
    bits = peak.to(tl.int32, bitcast=True).to(tl.int64)
    return tl.where(peak >= 0, bits * (_PLACE_MASK + 1) + (_PLACE_MASK - place), -1)


@triton.jit(
    do_not_specialize=["first_slot", "images", "n_tokens", "tiles", "cells", "roles"],
    do_not_specialize_on_alignment=["counts", "sums", "pivots", "places"],
)
def fold_tiles(
    counts,  # (layers, images, tiles) float32, tokens
    sums,  # (layers, images, tiles, 2, 4, channels) float32: deviations, their squares, low, high
    pivots,  # (layers, images, 2, channels) float32, subtracted before summing
    places,  # (layers, images, tiles, 2, channels) int32: row of the peak, packed exceedances
    mean_out,  # (slots, 2, cells, channels) float64
    m2_out,  # (slots, 2, cells, channels) float64
    low_out,  # (slots, 2, roles, channels) float32, filled with +inf
    high_out,  # (slots, 2, roles, channels) float32, filled with -inf
    keys_out,  # (slots, roles, channels) int64, filled with -1
    exceed_out,  # (slots, roles, 3, channels) int64, filled with 0
    first_slot,  # slot of the first of the layers
    images,
    n_tokens,  # tokens per image
    tiles,  # tiles per image
    cells,
    roles,
    channels: tl.constexpr,
    block: tl.constexpr,  # channels per program
    extras: tl.constexpr,  # whether keys and exceedances are wanted
):
    """Merge the tiles of one image into the batch's state, for some channels."""
    image, layer = tl.program_id(0).to(tl.int64), tl.program_id(2) // 2
    representation = tl.program_id(2) % 2
    channel = tl.program_id(1) * block + tl.arange(0, block)
    inside = channel < channels
    # Tiles are added in several sums per channel, which are added up at the end.
    some = tl.arange(0, _FEW)
    total = tl.zeros([_FEW, block], tl.float64)
    squares = total
    n = tl.zeros([_FEW], tl.float32)
    low = tl.full([_FEW, block], float("inf"), tl.float32)
    high = tl.full([_FEW, block], -float("inf"), tl.float32)
    key = tl.full([_FEW, block], -1, tl.int64)
    none = tl.zeros([_FEW, block], tl.int32)
    beyond_first, beyond_second, beyond_third = none, none, none
    its_pivot = pivots + ((layer * images + image) * 2 + representation) * channels + channel
    pivot = tl.load(its_pivot, mask=inside, other=0).to(tl.float64)
    for first in tl.range(0, tiles, _FEW, loop_unroll_factor=2):
        present = first + some < tiles
        place = (layer * images + image) * tiles + first + some
        mask = present[:, None] & inside[None, :]
        source = sums + (place[:, None] * 8 + representation * 4) * channels + channel[None, :]
        n += tl.load(counts + place, mask=present, other=0)
        total += tl.load(source, mask=mask, other=0).to(tl.float64)
        squares += tl.load(source + channels, mask=mask, other=0).to(tl.float64)
        tile_low = tl.load(source + 2 * channels, mask=mask, other=float("inf"))
        tile_high = tl.load(source + 3 * channels, mask=mask, other=-float("inf"))
        low, high = tl.minimum(low, tile_low), tl.maximum(high, tile_high)
        if extras:
            if representation == 0:
                there = places + place[:, None] * 2 * channels + channel[None, :]
                row = tl.load(there, mask=mask, other=0)
                packed = tl.load(there + channels, mask=mask, other=0)
                tile_peak = tl.maximum(-tile_low, tile_high)
                key = tl.maximum(key, _peak_keys(tile_peak, image * n_tokens + row))
                beyond_first += packed & _COUNT_MASK
                beyond_second += (packed >> _BITS) & _COUNT_MASK
                beyond_third += packed >> (2 * _BITS)
    tokens = tl.sum(n, 0).to(tl.float64)
    whole = tl.sum(total, 0)
    shift = whole / tl.maximum(tokens, 1.0)
    m2 = tl.maximum(tl.sum(squares, 0) - whole * shift, 0.0)
    m2 = tl.where(tokens > 1, m2, 0.0)

    slot = layer + first_slot
    at = ((slot * 2 + representation) * cells + images + image) * channels + channel
    tl.store(mean_out + at, pivot + shift, mask=inside)
    tl.store(m2_out + at, m2, mask=inside)
    # All images share a role: the results are the same in whatever order the programs run.
    at = ((slot * 2 + representation) * roles + 1) * channels + channel
    tl.atomic_min(low_out + at, tl.min(low, 0), mask=inside)
    tl.atomic_max(high_out + at, tl.max(high, 0), mask=inside)
    if extras:
        if representation == 0:
            at = (slot * roles + 1) * channels + channel
            tl.atomic_max(keys_out + at, tl.max(key, 0), mask=inside)
            at = (slot * roles + 1) * 3 * channels + channel
            first_count = tl.sum(beyond_first, 0).to(tl.int64)
            tl.atomic_add(exceed_out + at, first_count, mask=inside)
            second_count = tl.sum(beyond_second, 0).to(tl.int64)
            tl.atomic_add(exceed_out + at + channels, second_count, mask=inside)
            third_count = tl.sum(beyond_third, 0).to(tl.int64)
            tl.atomic_add(exceed_out + at + 2 * channels, third_count, mask=inside)


@triton.jit
def measure_singles(
    singles_in,  # (rows, channels) float32, CLS and storage tokens
    single_rows,  # (rows, 2) float64: mean, 1 / std
    channels: tl.constexpr,
    width: tl.constexpr,  # channels padded to a power of two
):
    """Measure a CLS or storage token again, in float64.

    They hardly differ between images: the rounding of a float32 LayerNorm would show as their
    standard deviation.
    """
    row = tl.program_id(0)
    channel = tl.arange(0, width)
    inside = channel < channels
    at = row.to(tl.int64) * channels + channel
    x = tl.load(singles_in + at, mask=inside, other=0).to(tl.float64)
    mean = tl.sum(x, 0) / channels
    deviation = tl.where(inside, x - mean, 0.0)
    variance = tl.sum(deviation * deviation, 0) / channels
    tl.store(single_rows + 2 * row, mean)
    tl.store(single_rows + 2 * row + 1, 1.0 / tl.sqrt(variance + _EPS))


@triton.jit(
    do_not_specialize=["first_slot", "images", "n_tokens", "cells", "roles"],
    do_not_specialize_on_alignment=["singles_in", "single_rows", "norms"],
)
def fold_singles(
    singles_in,  # (layers, images, 1 + storage, channels) float32, CLS and storage tokens
    single_rows,  # (layers, images, 1 + storage, 2) float64: mean, 1 / std
    norms,  # (slots, 2, images, n_tokens) float32, L2 norms; NaN where a token is left out
    mean_out,  # (slots, 2, cells, channels) float64
    m2_out,  # (slots, 2, cells, channels) float64, filled with 0
    low_out,  # (slots, 2, roles, channels) float32, filled with +inf
    high_out,  # (slots, 2, roles, channels) float32, filled with -inf
    keys_out,  # (slots, roles, channels) int64, filled with -1
    exceed_out,  # (slots, roles, 3, channels) int64, filled with 0
    first_slot,  # slot of the first of the layers
    images,
    n_tokens,  # tokens per image
    cells,
    roles,
    channels: tl.constexpr,
    block: tl.constexpr,  # channels per program
    extras: tl.constexpr,  # whether keys and exceedances are wanted
):
    """Measure the CLS tokens, or one storage token, of all images into the batch's state."""
    position, layer = tl.program_id(0), tl.program_id(2) // 2
    representation = tl.program_id(2) % 2
    slot = layer + first_slot
    is_storage = position > 0
    role = tl.where(is_storage, position + 1, 0)
    first_cell = (slot * 2 + representation) * cells
    channel = tl.program_id(1) * block + tl.arange(0, block)
    inside = channel < channels

    count = tl.zeros([block], tl.float64)
    mean, m2 = tl.zeros([block], tl.float64), tl.zeros([block], tl.float64)
    low = tl.full([block], float("inf"), tl.float32)
    high = tl.full([block], -float("inf"), tl.float32)
    key = tl.full([block], -1, tl.int64)
    exceed = tl.zeros([block], tl.int32)
    for first in range(0, images, _MANY):
        image = first + tl.arange(0, _MANY)
        there = image < images
        token = image.to(tl.int64) * n_tokens + position
        norm = norms + slot.to(tl.int64) * 2 * images * n_tokens + token
        norm = tl.load(norm, mask=there, other=float("nan"))
        usable = norm < _LARGEST
        use = usable[:, None]
        place = (layer * images + image).to(tl.int64) * (roles - 1) + position
        at = place[:, None] * channels + channel[None, :]
        x = tl.load(singles_in + at, mask=use & inside[None, :], other=0)
        value = x.to(tl.float64)
        if representation == 1:
            row_mean = tl.load(single_rows + 2 * place, mask=usable, other=0)
            rstd = tl.load(single_rows + 2 * place + 1, mask=usable, other=0)
            value = (value - row_mean[:, None]) * rstd[:, None]
        # A CLS token is the mean of its image's cell.
        cell = (first_cell + image[:, None]) * channels + channel[None, :]
        is_cls = (image < tl.where(is_storage, 0, images))[:, None] & inside[None, :]
        tl.store(mean_out + cell, tl.where(use, value, 0.0), mask=is_cls)
        n = tl.sum(usable.to(tl.float64), 0)
        part_mean = tl.sum(tl.where(use, value, 0.0), 0) / tl.maximum(n, 1.0)
        deviation = tl.where(use, value - part_mean[None, :], 0.0)
        part_m2 = tl.sum(deviation * deviation, 0)
        count, mean, m2 = merge_two(count, mean, m2, n, part_mean, part_m2)
        value_32 = value.to(tl.float32)
        low = tl.minimum(low, tl.min(tl.where(use, value_32, float("inf")), 0))
        high = tl.maximum(high, tl.max(tl.where(use, value_32, -float("inf")), 0))
        if extras:
            if representation == 0:
                magnitude = tl.where(use, tl.abs(x), -1.0)
                key = tl.maximum(key, tl.max(_peak_keys(magnitude, token[:, None]), 0))
                exceed += tl.sum(count_exceedances(magnitude), 0)

    at = (first_cell + 2 * images + position - 1) * channels + channel
    own_cell = channel < tl.where(is_storage, channels, 0)
    tl.store(mean_out + at, mean, mask=own_cell)
    tl.store(m2_out + at, m2, mask=own_cell)
    at = ((slot * 2 + representation) * roles + role) * channels + channel
    tl.atomic_min(low_out + at, low, mask=inside)
    tl.atomic_max(high_out + at, high, mask=inside)
    if extras:
        if representation == 0:
            at = (slot * roles + role) * channels + channel
            tl.atomic_max(keys_out + at, key, mask=inside)
            at = (slot * roles + role) * 3 * channels + channel
            first_count, second_count = exceed & _COUNT_MASK, (exceed >> _BITS) & _COUNT_MASK
            tl.atomic_add(exceed_out + at, first_count.to(tl.int64), mask=inside)
            tl.atomic_add(exceed_out + at + channels, second_count.to(tl.int64), mask=inside)
            third_count = (exceed >> (2 * _BITS)).to(tl.int64)
            tl.atomic_add(exceed_out + at + 2 * channels, third_count, mask=inside)


@triton.jit(
    do_not_specialize=["first_slot", "images", "sampled"],
    do_not_specialize_on_alignment=["samples", "medians"],
)
def find_medians(
    samples,  # (layers, images, sampled) float32, not negative; NaN where a token is left out
    medians,  # (slots, images) float32
    first_slot,  # slot of the first of the layers
    images,
    sampled,  # values per image
    padded: tl.constexpr,  # sampled padded to a power of two
):
    """Find the lower median of one image's sample, bit by bit from the highest.

    Floats that are not negative are ordered as their bits are, and NaN comes after all of them.
    """
    image, layer = tl.program_id(0), tl.program_id(1).to(tl.int64)
    slot = layer + first_slot
    index = tl.arange(0, padded)
    value = tl.load(
        samples + (layer * images + image) * sampled + index,
        mask=index < sampled,
        other=float("nan"),
    )
    seen = value == value
    bits = tl.where(seen, value.to(tl.int32, bitcast=True), 2**31 - 1)
    rank = (tl.sum(seen.to(tl.int32), 0) - 1) // 2
    median = tl.sum(tl.zeros([padded], tl.int32), 0)
    for step in range(31):
        higher = median | (1 << (30 - step))
        median = tl.where(tl.sum((bits < higher).to(tl.int32), 0) <= rank, higher, median)
    tl.store(medians + slot * images + image, median.to(tl.float32, bitcast=True))
