"""Triton kernels that measure a block output.

The results of `reduction`, at about the time of reading the block output twice; `launch` runs them,
the first three for every block output, the others for several at once:

1. `measure_rows`: one program per token. It leaves the token's norms and what its LayerNorm takes,
   and copies the few values of it that are looked at later.
2. `measure_tile`: one program per image, tile of its patches and stripe of channels. It adds up
   columns; with the rows' means known nothing crosses threads before the tile's end, which is
   twice as fast as one kernel that holds whole rows, although it reads them again.
3. `find_largest`: candidates for the three largest magnitudes of each image, with extras.
4. `find_medians`: the median of each image's sample of magnitudes, with extras.
5. `fold_tiles`: one program per image group, stripe and representation. It merges the tiles of the
   group's images in float64 into the batch's state.
6. `measure_singles` and `fold_singles`: the same for CLS and storage tokens, in float64 throughout.

A tile never crosses images. Sums are of deviations from the *pivot* of the image, which must be no
more than near the mean: of four patches far apart, the mean without the largest and the smallest,
so that no massive token decides it.
"""

# Kernel code is Triton's language, which type checkers read as Python.
# pyright: reportGeneralTypeIssues=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportOperatorIssue=false
# A nested `if` keeps apart what is decided when compiling, and is then left out, from what is not.
# ruff: noqa: SIM102

from __future__ import annotations

import triton
import triton.language as tl

from analysis.statistics.batch import PLACE_MASK
from analysis.statistics.reduction import LARGEST_NORM
from analysis.statistics.state import THRESHOLDS
from analysis.vocabulary import IMAGE_GROUPS, LAYER_NORM_EPS

CANDIDATES = 9
"""Left per image: the three largest magnitudes of each of the three rows of largest maxima."""

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
_MANY = tl.constexpr(8)  # images that `fold_singles` takes at a time


@triton.jit
def measure_rows(
    tokens,  # (images, n_tokens, channels), any float
    valid,  # (images,) bool
    watched,  # (n_watched,) int64, channels to be copied
    norms,  # (2, images, n_tokens) float32
    rows,  # (3, images, n_tokens) float32: rounded mean, 1 / std (NaN: left out), rest / std
    peaks,  # (images, n_tokens) float32, largest magnitude; -1 where a token is left out
    singles_out,  # (images, singles, channels) float32, CLS and storage tokens
    samples,  # (images, sampled) float32, magnitudes; NaN where a token is left out
    footprint,  # (images, n_tokens - singles, n_watched) float32, likewise
    n_tokens,
    stride,  # of the sample over an image's tokens x channels
    sampled,
    n_watched,
    singles: tl.constexpr,
    channels: tl.constexpr,
    width: tl.constexpr,  # channels padded to a power of two
    sample_width: tl.constexpr,  # sampled values of a token, and
    watched_width: tl.constexpr,  # watched channels, both padded likewise
    extras: tl.constexpr,
):
    """Measure one token.

    Centred twice, since the first mean is rounded, which shows where it dwarfs the deviations.
    """
    total = tl.num_programs(0)
    # What the network wrote last is still in the cache, and what this reads last is for the next.
    row = total - 1 - tl.program_id(0)
    image, token = row // n_tokens, row % n_tokens
    channel = tl.arange(0, width)
    inside = channel < channels
    source = tokens + row.to(tl.int64) * channels
    x = tl.load(source + channel, mask=inside, other=0).to(tl.float32)
    mean = tl.sum(x, 0) / channels
    y = tl.where(inside, x - mean, 0.0)
    residue = tl.sum(y, 0) / channels
    variance = tl.maximum(tl.sum(y * y, 0) / channels - residue * residue, 0.0)
    rstd = 1.0 / tl.sqrt(variance + _EPS)
    square = (variance + (mean + residue) * (mean + residue)) * channels
    usable = tl.load(valid + image) & (square < _LARGEST_SQUARE)
    tl.store(norms + row, tl.where(usable, tl.sqrt(square), float("nan")))
    ln_norm = tl.sqrt(variance * channels) * rstd
    tl.store(norms + total + row, tl.where(usable, ln_norm, float("nan")))
    tl.store(rows + row, mean)
    tl.store(rows + total + row, tl.where(usable, rstd, float("nan")))
    tl.store(rows + 2 * total + row, residue * rstd)
    if token < singles:
        single = image * singles + token
        tl.store(singles_out + single.to(tl.int64) * channels + channel, x, mask=inside)
    if extras:
        tl.store(peaks + row, tl.where(usable, tl.max(tl.abs(x), 0), -1.0))
        start = token * channels
        sample = (start + stride - 1) // stride + tl.arange(0, sample_width)
        place = sample * stride - start
        there = (place < channels) & (sample < sampled)
        value = tl.abs(tl.load(source + place, mask=there, other=0).to(tl.float32))
        value = tl.where(usable, value, float("nan"))
        tl.store(samples + image.to(tl.int64) * sampled + sample, value, mask=there)
        if token >= singles:
            index = tl.arange(0, watched_width)
            is_watched = index < n_watched
            at = tl.load(watched + index, mask=is_watched, other=0)
            seen = tl.abs(tl.load(source + at, mask=is_watched, other=0).to(tl.float32))
            patch = image.to(tl.int64) * (n_tokens - singles) + token - singles
            seen = tl.where(usable, seen, float("nan"))
            tl.store(footprint + patch * n_watched + index, seen, mask=is_watched)


@triton.jit
def _load_rows(
    source, rows, total, row, stop, channel, channels: tl.constexpr, whole: tl.constexpr
):
    """Return rows, their LayerNorm, and which of them count; all of them do if they are `whole`."""
    at = row[:, None] * channels + channel[None, :]
    if whole:
        x = tl.load(source + at, mask=(channel < channels)[None, :], other=0).to(tl.float32)
        mean, rstd = tl.load(rows + row), tl.load(rows + total + row)
        shift = tl.load(rows + 2 * total + row)
    else:
        present = row < stop
        mask = present[:, None] & (channel < channels)[None, :]
        x = tl.load(source + at, mask=mask, other=0).to(tl.float32)
        mean = tl.load(rows + row, mask=present, other=0)
        rstd = tl.load(rows + total + row, mask=present, other=float("nan"))
        shift = tl.load(rows + 2 * total + row, mask=present, other=0)
    y = (x - mean[:, None]) * rstd[:, None] - shift[:, None]
    return x, y, rstd == rstd


@triton.jit
def _trimmed_mean(values, use):
    """Mean of four rows less the largest and the smallest value of each channel."""
    values = tl.where(use[:, None], values, 0.0)
    return (tl.sum(values, 0) - tl.max(values, 0) - tl.min(values, 0)) * 0.5


@triton.jit
def _add_rows(values, use, pivot, total, squares, low, high, whole: tl.constexpr):
    """Add rows to the sums of deviations from the pivot and to the range."""
    deviation = values - pivot[None, :]
    if not whole:
        deviation = tl.where(use[:, None], deviation, 0.0)
        values = tl.where(use[:, None], values, float("nan"))  # which min and max pass over
    return (
        total + deviation,
        squares + deviation * deviation,
        tl.minimum(low, values),
        tl.maximum(high, values),
    )


@triton.jit
def _exceedances(magnitude):
    """Count what exceeds the thresholds, three counts to an integer."""
    beyond = tl.where(magnitude > _THIRD, _THREE, _TWO)
    beyond = tl.where(magnitude > _SECOND, beyond, _ONE)
    return tl.where(magnitude > _FIRST, beyond, 0)


@triton.jit
def _add_tile(
    source,
    rows,
    all_rows,
    start,
    stop,
    channel,
    pivot,
    ln_pivot,
    channels: tl.constexpr,
    stripe: tl.constexpr,
    chunk: tl.constexpr,
    unroll: tl.constexpr,
    extras: tl.constexpr,
    whole: tl.constexpr,
):
    """Add up the rows of a tile, in as many sums per channel as a chunk has rows."""
    total = tl.zeros([chunk, stripe], tl.float32)
    squares, ln_total, ln_squares = total, total, total
    low = tl.full([chunk, stripe], float("inf"), tl.float32)
    high = tl.full([chunk, stripe], -float("inf"), tl.float32)
    ln_low, ln_high = low, high
    peak_row = tl.zeros([chunk, stripe], tl.int32)
    exceed = tl.zeros([chunk, stripe], tl.int32)
    for first in tl.range(start, stop, chunk, loop_unroll_factor=unroll):
        row = first + tl.arange(0, chunk)
        x, y, use = _load_rows(source, rows, all_rows, row, stop, channel, channels, whole)
        if extras:
            magnitude = tl.abs(x)
            if not whole:
                magnitude = tl.where(use[:, None], magnitude, -1.0)
            peak_row = tl.where(magnitude > tl.maximum(-low, high), row[:, None], peak_row)
            exceed += _exceedances(magnitude)
        total, squares, low, high = _add_rows(x, use, pivot, total, squares, low, high, whole)
        ln_total, ln_squares, ln_low, ln_high = _add_rows(
            y, use, ln_pivot, ln_total, ln_squares, ln_low, ln_high, whole
        )
    return total, squares, low, high, ln_total, ln_squares, ln_low, ln_high, peak_row, exceed


@triton.jit
def measure_tile(
    tokens,  # and below: as above
    rows,
    counts,  # (images, tiles) float32
    sums,  # (images, tiles, 2, 4, channels) float32: deviations, their squares, low, high
    pivots,  # (images, 2, channels) float32
    places,  # (images, tiles, 2, channels) int32: row of the peak, packed exceedances
    n_tokens,
    tile_rows,
    singles: tl.constexpr,
    channels: tl.constexpr,
    stripe: tl.constexpr,  # channels per program
    chunk: tl.constexpr,  # rows in registers at a time, each with sums of its own
    unroll: tl.constexpr,  # chunks in one turn of the loop
    padded_rows: tl.constexpr,  # tile_rows padded to a power of two
    extras: tl.constexpr,
):
    """Add up one stripe of one tile of one image."""
    tile, image = tl.program_id(1), tl.program_id(2)
    tiles, images = tl.num_programs(1), tl.num_programs(2)
    start = singles + tile * tile_rows
    stop = tl.minimum(start + tile_rows, n_tokens)
    channel = tl.program_id(0) * stripe + tl.arange(0, stripe)
    inside = channel < channels
    source = tokens + image.to(tl.int64) * n_tokens * channels
    rows += image * n_tokens
    all_rows = images * n_tokens

    four = singles + (tl.arange(0, 4) * (n_tokens - singles - 1)) // 3
    x_4, y_4, use_4 = _load_rows(source, rows, all_rows, four, n_tokens, channel, channels, False)
    pivot, ln_pivot = _trimmed_mean(x_4, use_4), _trimmed_mean(y_4, use_4)

    row = start + tl.arange(0, padded_rows)
    rstd = tl.load(rows + all_rows + row, mask=row < stop, other=float("nan"))
    count = tl.sum((rstd == rstd).to(tl.int32), 0)
    # Nearly every tile is whole: all its rows count, and they fill the last chunk.
    if (count == stop - start) & (count % chunk == 0):
        total, squares, low, high, ln_total, ln_squares, ln_low, ln_high, peak_row, exceed = (
            _add_tile(
                source,
                rows,
                all_rows,
                start,
                stop,
                channel,
                pivot,
                ln_pivot,
                channels,
                stripe,
                chunk,
                unroll,
                extras,
                True,
            )
        )
    else:
        total, squares, low, high, ln_total, ln_squares, ln_low, ln_high, peak_row, exceed = (
            _add_tile(
                source,
                rows,
                all_rows,
                start,
                stop,
                channel,
                pivot,
                ln_pivot,
                channels,
                stripe,
                chunk,
                unroll,
                extras,
                False,
            )
        )

    place = image * tiles + tile
    tl.store(counts + place, count.to(tl.float32))
    result = sums + place.to(tl.int64) * 8 * channels + channel
    tl.store(result, tl.sum(total, 0), mask=inside)
    tl.store(result + channels, tl.sum(squares, 0), mask=inside)
    tl.store(result + 2 * channels, tl.min(low, 0), mask=inside)
    tl.store(result + 3 * channels, tl.max(high, 0), mask=inside)
    tl.store(result + 4 * channels, tl.sum(ln_total, 0), mask=inside)
    tl.store(result + 5 * channels, tl.sum(ln_squares, 0), mask=inside)
    tl.store(result + 6 * channels, tl.min(ln_low, 0), mask=inside)
    tl.store(result + 7 * channels, tl.max(ln_high, 0), mask=inside)
    if extras:
        peak = tl.maximum(-low, high)
        earliest = tl.where(peak == tl.max(peak, 0)[None, :], peak_row, 2**30)
        result = places + place.to(tl.int64) * 2 * channels + channel
        tl.store(result, tl.min(earliest, 0), mask=inside)
        tl.store(result + channels, tl.sum(exceed, 0), mask=inside)
    # All tiles of an image have the same pivot: the first of them leaves it for the merge.
    leaves = channel < tl.where(tile == 0, channels, 0)
    result = pivots + image * 2 * channels + channel
    tl.store(result, pivot, mask=leaves)
    tl.store(result + channels, ln_pivot, mask=leaves)


@triton.jit
def _merge(count, mean, m2, n, part_mean, part_m2):
    """Merge two moments by the rule of Chan, Golub & LeVeque (1983)."""
    share = n / tl.maximum(count + n, 1.0)
    delta = part_mean - mean
    return count + n, mean + delta * share, m2 + part_m2 + delta * delta * (count * share)


@triton.jit
def _peak_keys(peak, place):
    """Return sortable keys: by magnitude, then by earliest place; -1 where there is none."""
    bits = peak.to(tl.int32, bitcast=True).to(tl.int64)
    return tl.where(peak >= 0, bits * (_PLACE_MASK + 1) + (_PLACE_MASK - place), -1)


@triton.jit
def _slot(layer, first_slot, slots):
    """Return where a layer's results belong; the first one may be -1."""
    return (layer + first_slot + slots) % slots


@triton.jit
def fold_tiles(
    order,  # (images,) int64, images of one group side by side
    bounds,  # (groups + 1,) int64, where in `order` a group starts
    counts,  # below as above, with a leading axis of layers
    sums,
    pivots,
    places,
    mean_out,  # (slots, 2, cells, channels) float64
    m2_out,
    low_out,  # (slots, 2, roles, channels) float32, holding +inf; high_out -inf
    high_out,
    keys_out,  # (slots, roles, channels) int64, holding -1
    exceed_out,  # (slots, roles, 3, channels) int64, holding 0
    first_slot,
    slots,
    images,
    n_tokens,
    tiles,
    cells,
    roles,
    channels: tl.constexpr,
    padded_tiles: tl.constexpr,  # tiles padded to a power of two
    block: tl.constexpr,
    extras: tl.constexpr,
):
    """Merge the tiles of a group's images into the batch's state, for some channels."""
    group, layer = tl.program_id(0), tl.program_id(2) // 2
    representation = tl.program_id(2) % 2
    channel = tl.program_id(1) * block + tl.arange(0, block)
    inside = channel < channels
    tile = tl.arange(0, padded_tiles)
    present = tile < tiles
    mask = present[:, None] & inside[None, :]

    count = tl.zeros([block], tl.float64)
    mean, m2 = tl.zeros([block], tl.float64), tl.zeros([block], tl.float64)
    low = tl.full([block], float("inf"), tl.float32)
    high = tl.full([block], -float("inf"), tl.float32)
    key = tl.full([block], -1, tl.int64)
    beyond_first, beyond_second = tl.zeros([block], tl.int32), tl.zeros([block], tl.int32)
    beyond_third = tl.zeros([block], tl.int32)
    for turn in range(tl.load(bounds + group), tl.load(bounds + group + 1)):
        image = tl.load(order + turn)
        place = (layer * images + image) * tiles + tile
        at = (place[:, None] * 8 + representation * 4) * channels + channel[None, :]
        n = tl.sum(tl.load(counts + place, mask=present, other=0), 0).to(tl.float64)
        total = tl.sum(tl.load(sums + at, mask=mask, other=0).to(tl.float64), 0)
        squares = tl.sum(tl.load(sums + at + channels, mask=mask, other=0).to(tl.float64), 0)
        tile_low = tl.load(sums + at + 2 * channels, mask=mask, other=float("inf"))
        tile_high = tl.load(sums + at + 3 * channels, mask=mask, other=-float("inf"))
        low = tl.minimum(low, tl.min(tile_low, 0))
        high = tl.maximum(high, tl.max(tile_high, 0))
        at = ((layer * images + image) * 2 + representation) * channels + channel
        pivot = tl.load(pivots + at, mask=inside, other=0).to(tl.float64)
        shift = total / tl.maximum(n, 1.0)
        image_m2 = tl.where(n > 1, tl.maximum(squares - total * shift, 0.0), 0.0)
        count, mean, m2 = _merge(count, mean, m2, n, pivot + shift, image_m2)
        if extras:
            if representation == 0:
                there = places + place[:, None] * 2 * channels + channel[None, :]
                row = tl.load(there, mask=mask, other=0)
                packed = tl.load(there + channels, mask=mask, other=0)
                tile_keys = _peak_keys(tl.maximum(-tile_low, tile_high), image * n_tokens + row)
                key = tl.maximum(key, tl.max(tile_keys, 0))
                beyond_first += tl.sum(packed & _COUNT_MASK, 0)
                beyond_second += tl.sum((packed >> _BITS) & _COUNT_MASK, 0)
                beyond_third += tl.sum(packed >> (2 * _BITS), 0)

    slot = _slot(layer, first_slot, slots)
    at = ((slot * 2 + representation) * cells + _GROUPS + group) * channels + channel
    tl.store(mean_out + at, mean, mask=inside)
    tl.store(m2_out + at, m2, mask=inside)
    # Eight groups share a role: these are the same in whatever order they arrive.
    at = ((slot * 2 + representation) * roles + 1) * channels + channel
    tl.atomic_min(low_out + at, low, mask=inside)
    tl.atomic_max(high_out + at, high, mask=inside)
    if extras:
        if representation == 0:
            at = (slot * roles + 1) * channels + channel
            tl.atomic_max(keys_out + at, key, mask=inside)
            at = (slot * roles + 1) * 3 * channels + channel
            tl.atomic_add(exceed_out + at, beyond_first.to(tl.int64), mask=inside)
            tl.atomic_add(exceed_out + at + channels, beyond_second.to(tl.int64), mask=inside)
            tl.atomic_add(exceed_out + at + 2 * channels, beyond_third.to(tl.int64), mask=inside)


@triton.jit
def measure_singles(
    singles_in,  # (rows, channels) float32, CLS and storage tokens
    single_rows,  # (rows, 2) float64: mean, 1 / std
    channels: tl.constexpr,
    width: tl.constexpr,
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


@triton.jit
def fold_singles(
    indices,  # (images,) int64
    singles_in,  # (layers, images, 1 + storage, channels) float32
    single_rows,  # (layers, images, 1 + storage, 2) float64
    norms,  # (slots, 2, images, n_tokens) float32; below as above
    mean_out,
    m2_out,
    low_out,
    high_out,
    keys_out,
    exceed_out,
    first_slot,
    slots,
    images,
    n_tokens,
    cells,
    roles,
    channels: tl.constexpr,
    block: tl.constexpr,
    extras: tl.constexpr,
):
    """Measure one group's CLS tokens, or one storage token, into the batch's state."""
    part, layer = tl.program_id(0), tl.program_id(2) // 2
    representation = tl.program_id(2) % 2
    slot = _slot(layer, first_slot, slots)
    is_storage = part >= _GROUPS
    position = tl.where(is_storage, part - _GROUPS + 1, 0)
    role = tl.where(is_storage, position + 1, 0)
    cell = tl.where(is_storage, part + _GROUPS, part)
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
        group = tl.load(indices + image, mask=there, other=0) % _GROUPS
        token = image.to(tl.int64) * n_tokens + position
        norm = norms + slot.to(tl.int64) * 2 * images * n_tokens + token
        norm = tl.load(norm, mask=there, other=float("nan"))
        usable = (norm < _LARGEST) & (tl.where(is_storage, part, group) == part)
        use = usable[:, None]
        place = (layer * images + image).to(tl.int64) * (roles - 1) + position
        at = place[:, None] * channels + channel[None, :]
        x = tl.load(singles_in + at, mask=use & inside[None, :], other=0)
        value = x.to(tl.float64)
        if representation == 1:
            row_mean = tl.load(single_rows + 2 * place, mask=usable, other=0)
            rstd = tl.load(single_rows + 2 * place + 1, mask=usable, other=0)
            value = (value - row_mean[:, None]) * rstd[:, None]
        n = tl.sum(usable.to(tl.float64), 0)
        part_mean = tl.sum(tl.where(use, value, 0.0), 0) / tl.maximum(n, 1.0)
        deviation = tl.where(use, value - part_mean[None, :], 0.0)
        part_m2 = tl.sum(deviation * deviation, 0)
        count, mean, m2 = _merge(count, mean, m2, n, part_mean, part_m2)
        value_32 = value.to(tl.float32)
        low = tl.minimum(low, tl.min(tl.where(use, value_32, float("inf")), 0))
        high = tl.maximum(high, tl.max(tl.where(use, value_32, -float("inf")), 0))
        if extras:
            if representation == 0:
                magnitude = tl.where(use, tl.abs(x), -1.0)
                key = tl.maximum(key, tl.max(_peak_keys(magnitude, token[:, None]), 0))
                exceed += tl.sum(_exceedances(magnitude), 0)

    at = ((slot * 2 + representation) * cells + cell) * channels + channel
    tl.store(mean_out + at, mean, mask=inside)
    tl.store(m2_out + at, m2, mask=inside)
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


@triton.jit
def find_largest(
    tokens,  # and below: as above
    peaks,
    largest,  # (images, 9) float32
    n_tokens,
    padded_tokens: tl.constexpr,  # n_tokens padded to a power of two
    channels: tl.constexpr,
    width: tl.constexpr,
):
    """Leave candidates for an image's three largest magnitudes, which lie in three of its rows."""
    image = tl.program_id(0).to(tl.int64)
    row = tl.arange(0, padded_tokens)
    peak = tl.load(peaks + image * n_tokens + row, mask=row < n_tokens, other=-1.0)
    channel = tl.arange(0, width)
    for rank in tl.static_range(3):
        top = tl.max(peak, 0)
        leader = tl.min(tl.where(peak == top, row, 2**30), 0)
        found = channel < tl.where(top >= 0, channels, 0)
        at = (image * n_tokens + leader) * channels + channel
        magnitude = tl.abs(tl.load(tokens + at, mask=found, other=0).to(tl.float32))
        for place in tl.static_range(3):
            value = tl.max(magnitude, 0)
            tl.store(largest + image * 9 + rank * 3 + place, value)
            first = tl.min(tl.where(magnitude == value, channel, 2**30), 0)
            magnitude = tl.where(channel == first, -1.0, magnitude)
        peak = tl.where(row == leader, -2.0, peak)


@triton.jit
def find_medians(
    samples,  # (layers, images, sampled) float32, not negative; NaN where left out
    medians,  # (slots, images) float32
    first_slot,
    slots,
    images,
    sampled,
    padded: tl.constexpr,  # sampled padded to a power of two
):
    """Find the lower median of one image's sample, bit by bit from the highest.

    Floats that are not negative are ordered as their bits are, and NaN comes after all of them.
    """
    image, layer = tl.program_id(0), tl.program_id(1).to(tl.int64)
    slot = _slot(layer, first_slot, slots)
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
