"""Two Triton kernels that measure a block output and read it once.

The results of `reduction`, at close to the speed of copying the block output; `launch` runs them:

1. `measure_tile`: one program per image and tile of its tokens. It reads a few rows at a time
   with all their channels, normalises them in registers, and adds them to per-channel sums.
2. `fold_tiles`: one program per cell, block of channels and representation. It merges the tiles
   of the cell's images in float64 into the batch's state.

A tile never crosses images or roles: CLS and every storage token are tiles of one row. Sums are of
deviations from the *pivot* of the image, which must be no more than near the mean: of four patches
far apart, the mean without the largest and the smallest, so that no massive token decides it.
"""

# Kernel code is Triton's language, which type checkers read as Python.
# pyright: reportGeneralTypeIssues=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportOperatorIssue=false

from __future__ import annotations

import triton
import triton.language as tl

from analysis.statistics.batch import PLACE_MASK
from analysis.statistics.reduction import LARGEST_NORM
from analysis.statistics.state import THRESHOLDS
from analysis.vocabulary import IMAGE_GROUPS, LAYER_NORM_EPS

CANDIDATES = 9
"""Left per tile: the three largest magnitudes of each of the three channels of largest maxima."""

PACKED_BITS = 10
"""Three exceedance counts share one int32, so a tile has fewer than ``2**10`` rows."""

_EPS = tl.constexpr(LAYER_NORM_EPS)
_LARGEST_SQUARE = tl.constexpr(LARGEST_NORM**2)
_LARGEST = tl.constexpr(LARGEST_NORM)
_FIRST, _SECOND, _THIRD = (tl.constexpr(threshold) for threshold in THRESHOLDS)
_ONE, _TWO, _THREE = (
    tl.constexpr(sum(1 << PACKED_BITS * place for place in range(n))) for n in (1, 2, 3)
)
_BITS = tl.constexpr(PACKED_BITS)
_COUNT_MASK = tl.constexpr(2**PACKED_BITS - 1)
_PLACE_MASK = tl.constexpr(PLACE_MASK)
_GROUPS = tl.constexpr(IMAGE_GROUPS)


@triton.jit
def _largest_three(values, places, destination):
    """Store the three largest of non-negative `values`, each at its own `place`."""
    for rank in tl.static_range(3):
        largest = tl.max(values, 0)
        first = tl.min(tl.where(values == largest, places, 2**30), 0)
        tl.store(destination + rank, tl.maximum(largest, 0.0))
        values = tl.where(places == first, -1.0, values)


@triton.jit
def _normalize(x, inside, channels: tl.constexpr):
    """LayerNorm of rows; returns it, each row's squared norm before, and its norm after.

    Centred twice, since the first mean is rounded, which shows where it dwarfs the deviations.
    """
    mean = tl.sum(x, 1) / channels
    y = tl.where(inside[None, :], x - mean[:, None], 0.0)
    residue = tl.sum(y, 1) / channels
    variance = tl.maximum(tl.sum(y * y, 1) / channels - residue * residue, 0.0)
    rstd = 1.0 / tl.sqrt(variance + _EPS)
    mean += residue
    y = y * rstd[:, None] - (residue * rstd)[:, None]
    return y, (variance + mean * mean) * channels, tl.sqrt(variance * channels) * rstd


@triton.jit
def _trimmed_mean(values, use):
    """Mean of four rows less the largest and the smallest value of each channel."""
    values = tl.where(use, values, 0.0)
    return (tl.sum(values, 0) - tl.max(values, 0) - tl.min(values, 0)) * 0.5


@triton.jit
def _pivots(source, n_tokens, pivoted, singles: tl.constexpr, channels: tl.constexpr, channel):
    """Return an image's pivots for both representations, zero where not `pivoted`."""
    row = singles + (tl.arange(0, 4) * (n_tokens - singles - 1)) // 3
    at = row[:, None] * channels + channel[None, :]
    x = tl.load(source + at, mask=pivoted[None, :], other=0).to(tl.float32)
    y, square, _norm = _normalize(x, channel < channels, channels)
    use = (square < _LARGEST_SQUARE)[:, None]
    return _trimmed_mean(x, use), _trimmed_mean(y, use)


@triton.jit
def _add_rows(values, use, pivot, total, squares, low, high, masked: tl.constexpr):
    """Add rows to the sums of deviations from the pivot and to the range."""
    deviation = values - pivot[None, :]
    if masked:
        deviation = tl.where(use, deviation, 0.0)
        low = tl.minimum(low, tl.min(tl.where(use, values, float("inf")), 0))
        high = tl.maximum(high, tl.max(tl.where(use, values, -float("inf")), 0))
    else:
        low = tl.minimum(low, tl.min(values, 0))
        high = tl.maximum(high, tl.max(values, 0))
    total += tl.sum(deviation, 0)
    squares += tl.sum(deviation * deviation, 0)
    return total, squares, low, high


@triton.jit
def _add_magnitudes(magnitude, row, low, high, peak_row, exceed):
    """Keep the row of the largest magnitude, and count exceedances, three to an integer."""
    best = tl.max(magnitude, 0)
    where_best = tl.min(tl.where(magnitude == best[None, :], row[:, None], 2**30), 0)
    peak_row = tl.where(best > tl.maximum(-low, high), where_best, peak_row)
    beyond = tl.where(magnitude > _THIRD, _THREE, _TWO)
    beyond = tl.where(magnitude > _SECOND, beyond, _ONE)
    return peak_row, exceed + tl.sum(tl.where(magnitude > _FIRST, beyond, 0), 0)


@triton.jit
def measure_tile(
    tokens,  # (images, n_tokens, channels), any float
    valid,  # (images,) bool
    norms,  # (2, images, n_tokens) float32
    counts,  # (images, tiles) float32
    sums,  # (images, tiles, 2, 4, channels) float32: deviations, their squares, low, high
    pivots,  # (images, 2, channels) float32
    places,  # (images, tiles, 2, channels) int32: row of the peak, packed exceedances
    largest,  # (images, tiles, 9) float32
    n_tokens,
    tile_rows,
    singles: tl.constexpr,
    channels: tl.constexpr,
    width: tl.constexpr,  # channels padded to a power of two
    chunk: tl.constexpr,  # rows held in registers at a time
    stages: tl.constexpr,  # chunks in flight
    padded_rows: tl.constexpr,  # tile_rows padded to a power of two
    extras: tl.constexpr,
):
    """Measure one tile of one image: norms per token, sums per channel."""
    tile, image = tl.program_id(0), tl.program_id(1)
    tiles, images = tl.num_programs(0), tl.num_programs(1)
    is_single = tile < singles
    start = tl.where(is_single, tile, singles + (tile - singles) * tile_rows)
    stop = tl.where(is_single, tile + 1, tl.minimum(start + tile_rows, n_tokens))
    valid_stop = tl.where(tl.load(valid + image), stop, 0)

    channel = tl.arange(0, width)
    inside = channel < channels
    source = tokens + image.to(tl.int64) * n_tokens * channels
    row_norms = norms + image * n_tokens

    # A single token is its own mean: zero pivot, and an empty mask, which skips the loads.
    pivoted = channel < tl.where(is_single, 0, channels)
    pivot, ln_pivot = _pivots(source, n_tokens, pivoted, singles, channels, channel)

    count = 0.0
    total, squares = tl.zeros([width], tl.float32), tl.zeros([width], tl.float32)
    ln_total, ln_squares = tl.zeros([width], tl.float32), tl.zeros([width], tl.float32)
    low = tl.full([width], float("inf"), tl.float32)
    high = tl.full([width], -float("inf"), tl.float32)
    ln_low, ln_high = low, high
    peak_row, exceed = tl.zeros([width], tl.int32), tl.zeros([width], tl.int32)

    for first in tl.range(start, stop, chunk, num_stages=stages):
        row = first + tl.arange(0, chunk)
        present = row < stop
        at = row[:, None] * channels + channel[None, :]
        x = tl.load(source + at, mask=present[:, None] & inside[None, :], other=0).to(tl.float32)
        y, square, ln_norm = _normalize(x, inside, channels)
        usable = (row < valid_stop) & (square < _LARGEST_SQUARE)
        tl.store(row_norms + row, tl.where(usable, tl.sqrt(square), float("nan")), mask=present)
        ln_norm = tl.where(usable, ln_norm, float("nan"))
        tl.store(row_norms + images * n_tokens + row, ln_norm, mask=present)

        chunk_count = tl.sum(usable.to(tl.float32), 0)
        count += chunk_count
        use = usable[:, None]
        if chunk_count == chunk:
            if extras:
                peak_row, exceed = _add_magnitudes(tl.abs(x), row, low, high, peak_row, exceed)
            total, squares, low, high = _add_rows(x, use, pivot, total, squares, low, high, False)
            ln_total, ln_squares, ln_low, ln_high = _add_rows(
                y, use, ln_pivot, ln_total, ln_squares, ln_low, ln_high, False
            )
        else:
            if extras:
                magnitude = tl.where(use, tl.abs(x), -1.0)
                peak_row, exceed = _add_magnitudes(magnitude, row, low, high, peak_row, exceed)
            total, squares, low, high = _add_rows(x, use, pivot, total, squares, low, high, True)
            ln_total, ln_squares, ln_low, ln_high = _add_rows(
                y, use, ln_pivot, ln_total, ln_squares, ln_low, ln_high, True
            )

    place = image * tiles + tile
    tl.store(counts + place, count)
    result = sums + place.to(tl.int64) * 8 * channels + channel
    tl.store(result, total, mask=inside)
    tl.store(result + channels, squares, mask=inside)
    tl.store(result + 2 * channels, low, mask=inside)
    tl.store(result + 3 * channels, high, mask=inside)
    tl.store(result + 4 * channels, ln_total, mask=inside)
    tl.store(result + 5 * channels, ln_squares, mask=inside)
    tl.store(result + 6 * channels, ln_low, mask=inside)
    tl.store(result + 7 * channels, ln_high, mask=inside)
    # All patch tiles of an image have the same pivot: the first of them leaves it for the merge.
    leaves = channel < tl.where(tile == singles, channels, 0)
    result = pivots + image * 2 * channels + channel
    tl.store(result, pivot, mask=leaves)
    tl.store(result + channels, ln_pivot, mask=leaves)

    if extras:
        result = places + place.to(tl.int64) * 2 * channels + channel
        tl.store(result, peak_row, mask=inside)
        tl.store(result + channels, exceed, mask=inside)
        # The tile's three largest magnitudes lie in the channels of the three largest peaks.
        tl.debug_barrier()  # makes the norms stored above visible to all threads
        row = start + tl.arange(0, padded_rows)
        norm = tl.load(row_norms + row, mask=row < stop, other=float("nan"))
        peaks = tl.where(inside, tl.maximum(-low, high), -1.0)
        for rank in tl.static_range(3):
            leader = tl.min(tl.where(peaks == tl.max(peaks, 0), channel, 2**30), 0)
            column = tl.load(source + row * channels + leader, mask=norm < _LARGEST, other=0)
            magnitudes = tl.abs(column.to(tl.float32))
            _largest_three(magnitudes, row, largest + place * 9 + rank * 3)
            peaks = tl.where(channel == leader, -2.0, peaks)


@triton.jit
def fold_tiles(
    indices,  # (images,) int64
    counts,  # and below: as above
    sums,
    pivots,
    places,
    mean_out,  # (2, cells, channels) float64
    m2_out,
    low_out,  # (2, roles, channels) float32, holding +inf; high_out -inf
    high_out,
    keys_out,  # (roles, channels) int64, holding -1
    exceed_out,  # (roles, 3, channels) int64, holding 0
    images,
    n_tokens,
    tiles,
    singles: tl.constexpr,
    channels: tl.constexpr,
    padded_tiles: tl.constexpr,  # tiles padded to a power of two
    block: tl.constexpr,
    extras: tl.constexpr,
):
    """Merge the tiles of a cell's images, for some channels of one representation."""
    cell, stripe, representation = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    is_patch = (cell >= _GROUPS) & (cell < 2 * _GROUPS)
    is_storage = cell >= 2 * _GROUPS
    role = tl.where(is_storage, cell - 2 * _GROUPS + 2, tl.where(is_patch, 1, 0))
    # Tiles: CLS, then the storage tokens, then the patches.
    begin = tl.where(is_storage, role - 1, tl.where(is_patch, singles, 0))
    end = tl.where(is_patch, tiles, begin + 1)

    channel = stripe * block + tl.arange(0, block)
    inside = channel < channels
    tile = begin + tl.arange(0, padded_tiles)
    present = tile < end
    mask = present[:, None] & inside[None, :]

    count = tl.zeros([block], tl.float64)
    mean, m2 = tl.zeros([block], tl.float64), tl.zeros([block], tl.float64)
    low, high = (
        tl.full([block], float("inf"), tl.float32),
        tl.full([block], -float("inf"), tl.float32),
    )
    key = tl.full([block], -1, tl.int64)
    beyond_first, beyond_second = tl.zeros([block], tl.int32), tl.zeros([block], tl.int32)
    beyond_third = tl.zeros([block], tl.int32)

    for image in range(images):
        if is_storage | (tl.load(indices + image) % _GROUPS == cell % _GROUPS):
            place = image * tiles + tile
            at = (place[:, None].to(tl.int64) * 8 + representation * 4) * channels + channel[
                None, :
            ]
            n = tl.sum(tl.load(counts + place, mask=present, other=0), 0).to(tl.float64)
            total = tl.load(sums + at, mask=mask, other=0).to(tl.float64)
            total = tl.sum(total, 0)
            squares = tl.load(sums + at + channels, mask=mask, other=0).to(tl.float64)
            squares = tl.sum(squares, 0)
            tile_low = tl.load(sums + at + 2 * channels, mask=mask, other=float("inf"))
            tile_high = tl.load(sums + at + 3 * channels, mask=mask, other=-float("inf"))

            # This image about its own mean, then Chan's rule for the images of the cell.
            pivoted = channel < tl.where(is_patch, channels, 0)
            at = (image * 2 + representation) * channels + channel
            pivot = tl.load(pivots + at, mask=pivoted, other=0).to(tl.float64)
            shift = total / tl.maximum(n, 1.0)
            image_m2 = tl.where(n > 1, tl.maximum(squares - total * shift, 0.0), 0.0)
            share = n / tl.maximum(count + n, 1.0)
            delta = pivot + shift - mean
            mean += delta * share
            m2 += image_m2 + delta * delta * (count * share)
            count += n
            low = tl.minimum(low, tl.min(tile_low, 0))
            high = tl.maximum(high, tl.max(tile_high, 0))

            if extras:
                at = place[:, None].to(tl.int64) * 2 * channels + channel[None, :]
                row = tl.load(places + at, mask=mask, other=0)
                packed = tl.load(places + at + channels, mask=mask, other=0)
                peak = tl.maximum(-tile_low, tile_high)
                bits = peak.to(tl.int32, bitcast=True).to(tl.int64)
                order = _PLACE_MASK - (image * n_tokens.to(tl.int64) + row)
                tile_key = tl.where(peak >= 0, bits * (_PLACE_MASK + 1) + order, -1)
                key = tl.maximum(key, tl.max(tile_key, 0))
                beyond_first += tl.sum(packed & _COUNT_MASK, 0)
                beyond_second += tl.sum((packed >> _BITS) & _COUNT_MASK, 0)
                beyond_third += tl.sum(packed >> (2 * _BITS), 0)

    roles = tl.num_programs(0) - 2 * _GROUPS + 2
    at = (representation * tl.num_programs(0) + cell) * channels + channel
    tl.store(mean_out + at, mean, mask=inside)
    tl.store(m2_out + at, m2, mask=inside)
    # Eight cells share a role: these are the same in whatever order they arrive.
    at = (representation * roles + role) * channels + channel
    tl.atomic_min(low_out + at, low, mask=inside)
    tl.atomic_max(high_out + at, high, mask=inside)
    if extras:
        pre = channel < tl.where(representation == 0, channels, 0)
        tl.atomic_max(keys_out + role * channels + channel, key, mask=pre)
        at = role * 3 * channels + channel
        tl.atomic_add(exceed_out + at, beyond_first.to(tl.int64), mask=pre)
        tl.atomic_add(exceed_out + at + channels, beyond_second.to(tl.int64), mask=pre)
        tl.atomic_add(exceed_out + at + 2 * channels, beyond_third.to(tl.int64), mask=pre)
