"""Triton kernels that measure one block output.

The results of `reduction`, at about the time of reading the block output twice; `launch` runs them
for every block output, and those of `fold_kernels` for several at once:

1. `judge_rows`: from what `measured_norm.measure_rows` has left of every token it decides which
   tokens count, and copies the few values that are looked at later.
2. `measure_tile`: one program per image, tile of its patches and stripe of channels. It adds up
   columns; with the rows' means known nothing crosses threads before the tile's end, which is
   twice as fast as one kernel that holds whole rows, although it reads them again.
3. `find_largest`: candidates for the three largest magnitudes of each image, with extras.

A tile never crosses images. Sums are of deviations from the *pivot* of the image, which must be no
more than near the mean: of four patches far apart, the mean without the largest and the smallest,
so that no massive token decides it.
"""

# Kernel code is Triton's language, which type checkers read as Python.
# pyright: reportGeneralTypeIssues=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportPossiblyUnboundVariable=false

from __future__ import annotations

import triton
import triton.language as tl

from analysis.collect.statistics.torch_engine import LARGEST_NORM
from analysis.vocabulary import EXCEED_LEVELS, LAYER_NORM_EPS

CANDIDATES = 9
"""Left per image: the three largest magnitudes of each of the three rows of largest maxima."""

PACKED_BITS = 10
"""Three exceedance counts share one int32, so a tile has fewer than ``2**10`` rows."""

_EPS = tl.constexpr(LAYER_NORM_EPS)
_LARGEST_SQUARE = tl.constexpr(LARGEST_NORM**2)
_FIRST, _SECOND, _THIRD = (tl.constexpr(threshold) for threshold in EXCEED_LEVELS)
_ONE, _TWO, _THREE = (
    tl.constexpr(sum(1 << PACKED_BITS * place for place in range(n))) for n in (1, 2, 3)
)


@triton.jit(
    do_not_specialize=["n_tokens", "images", "stride", "sampled", "n_watched"],
    do_not_specialize_on_alignment=[
        *("means", "residues", "variances", "peaks_in", "norms", "rows", "peaks"),
        *("singles_out", "samples", "footprint"),
    ],
)
def judge_rows(
    tokens,  # (images, n_tokens, channels), any float
    means,  # (images, n_tokens) float32, over channels, rounded
    residues,  # (images, n_tokens) float32, exact mean less the rounded one
    variances,  # (images, n_tokens) float32, over channels
    peaks_in,  # (images, n_tokens) float32, largest magnitude
    valid,  # (images,) bool
    watched,  # (n_watched,) int64, channels to be copied
    norms,  # (2, images, n_tokens) float32
    rows,  # (3, images, n_tokens) float32: rounded mean, 1 / std (NaN: left out), residue / std
    peaks,  # (images, n_tokens) float32, largest magnitude; -1 where a token is left out
    singles_out,  # (images, singles, channels) float32, CLS and storage tokens
    samples,  # (images, sampled) float32, magnitudes; NaN where a token is left out
    footprint,  # (images, n_tokens - singles, n_watched) float32, magnitudes; NaN where left out
    n_tokens,  # tokens of an image, all roles
    images,
    stride,  # of the sample over an image's tokens x channels
    sampled,  # values in the sample of an image
    n_watched,  # channels to be copied
    singles: tl.constexpr,  # CLS and storage tokens of an image
    channels: tl.constexpr,
    width: tl.constexpr,  # channels padded to a power of two
    sample_width: tl.constexpr,  # sampled values of a token padded to a power of two
    watched_width: tl.constexpr,  # n_watched padded to a power of two
    block: tl.constexpr,  # tokens per program
    extras: tl.constexpr,  # whether peaks, samples and footprint are wanted
):
    """Decide which tokens of an image count, and copy what is looked at later.

    The last programs of an image copy a CLS or storage token each. All loads come first: they are
    few, and what counts is how often a program waits for one.
    """
    image, part = tl.program_id(1), tl.program_id(0)
    blocks = tl.num_programs(0) - singles
    first_row = image * n_tokens
    source = tokens + first_row.to(tl.int64) * channels
    if part >= blocks:
        channel = tl.arange(0, width)
        inside = channel < channels
        x = tl.load(source + (part - blocks) * channels + channel, mask=inside, other=0)
        copy = singles_out + (image * singles + part - blocks).to(tl.int64) * channels
        tl.store(copy + channel, x.to(tl.float32), mask=inside)
    else:
        token = part * block + tl.arange(0, block)
        present = token < n_tokens
        row, total = first_row + token, images * n_tokens
        mean = tl.load(means + row, mask=present, other=0)
        residue = tl.load(residues + row, mask=present, other=0)
        variance = tl.load(variances + row, mask=present, other=0)
        is_valid = tl.load(valid + image)
        if extras:
            number = tl.arange(0, watched_width)
            chosen = tl.load(watched + number, mask=number < n_watched, other=0)[None, :]
            peak = tl.load(peaks_in + row, mask=present, other=0)
            start = token[:, None] * channels
            sample = (start + stride - 1) // stride + tl.arange(0, sample_width)[None, :]
            at = sample * stride
            is_sampled = present[:, None] & (at < start + channels) & (sample < sampled)
            value = tl.load(source + at, mask=is_sampled, other=0).to(tl.float32)
            is_watched = (present & (token >= singles))[:, None] & (number < n_watched)[None, :]
            seen = tl.load(source + start + chosen, mask=is_watched, other=0).to(tl.float32)

        rstd = 1.0 / tl.sqrt(variance + _EPS)
        square = (variance + (mean + residue) * (mean + residue)) * channels
        usable = is_valid & (square < _LARGEST_SQUARE)
        ln_norm = tl.sqrt(variance * channels) * rstd
        tl.store(norms + row, tl.where(usable, tl.sqrt(square), float("nan")), mask=present)
        tl.store(norms + total + row, tl.where(usable, ln_norm, float("nan")), mask=present)
        tl.store(rows + row, mean, mask=present)
        tl.store(rows + total + row, tl.where(usable, rstd, float("nan")), mask=present)
        tl.store(rows + 2 * total + row, residue * rstd, mask=present)
        if extras:
            tl.store(peaks + row, tl.where(usable, peak, -1.0), mask=present)
            usable = usable[:, None]
            value = tl.where(usable, tl.abs(value), float("nan"))
            tl.store(samples + image.to(tl.int64) * sampled + sample, value, mask=is_sampled)
            seen = tl.where(usable, tl.abs(seen), float("nan"))
            patch = image.to(tl.int64) * (n_tokens - singles) + token - singles
            at = patch[:, None] * n_watched + number[None, :]
            tl.store(footprint + at, seen, mask=is_watched)


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
def count_exceedances(magnitude):
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
            exceed += count_exceedances(magnitude)
        total, squares, low, high = _add_rows(x, use, pivot, total, squares, low, high, whole)
        ln_total, ln_squares, ln_low, ln_high = _add_rows(
            y, use, ln_pivot, ln_total, ln_squares, ln_low, ln_high, whole
        )
    return total, squares, low, high, ln_total, ln_squares, ln_low, ln_high, peak_row, exceed


@triton.jit(
    do_not_specialize=["n_tokens", "tile_rows"],
    do_not_specialize_on_alignment=["rows", "counts", "sums", "pivots", "places"],
)
def measure_tile(
    tokens,  # (images, n_tokens, channels), any float
    rows,  # (3, images, n_tokens) float32, from `judge_rows`
    counts,  # (images, tiles) float32
    sums,  # (images, tiles, 2, 4, channels) float32: deviations, their squares, low, high
    pivots,  # (images, 2, channels) float32
    places,  # (images, tiles, 2, channels) int32: row of the peak, packed exceedances
    n_tokens,  # tokens of an image, all roles
    tile_rows,  # patches per tile
    singles: tl.constexpr,  # CLS and storage tokens of an image
    channels: tl.constexpr,
    stripe: tl.constexpr,  # channels per program
    chunk: tl.constexpr,  # rows in registers at a time, each with sums of its own
    unroll: tl.constexpr,  # chunks in one turn of the loop
    padded_rows: tl.constexpr,  # tile_rows padded to a power of two
    extras: tl.constexpr,  # whether places are wanted
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
    # Nearly every tile is whole: all its rows count, and they fill the last chunk. The call stands
    # twice because `whole` must be a constant for Triton to compile a loop without masks.
    # fmt: off
    if (count == stop - start) & (count % chunk == 0):
        (total, squares, low, high, ln_total, ln_squares, ln_low, ln_high, peak_row,
         exceed) = _add_tile(
            source, rows, all_rows, start, stop, channel, pivot, ln_pivot,
            channels, stripe, chunk, unroll, extras, True,
        )
    else:
        (total, squares, low, high, ln_total, ln_squares, ln_low, ln_high, peak_row,
         exceed) = _add_tile(
            source, rows, all_rows, start, stop, channel, pivot, ln_pivot,
            channels, stripe, chunk, unroll, extras, False,
        )
    # fmt: on

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
    # All tiles of an image have the same pivot: the first of them stores it for the merge.
    writes = channel < tl.where(tile == 0, channels, 0)
    result = pivots + image * 2 * channels + channel
    tl.store(result, pivot, mask=writes)
    tl.store(result + channels, ln_pivot, mask=writes)


@triton.jit(
    do_not_specialize=["n_tokens"],
    do_not_specialize_on_alignment=["peaks", "largest"],
)
def find_largest(
    tokens,  # (images, n_tokens, channels), any float
    peaks,  # (images, n_tokens) float32, from `judge_rows`
    largest,  # (images, 9) float32
    n_tokens,  # tokens of an image, all roles
    padded_tokens: tl.constexpr,  # n_tokens padded to a power of two
    channels: tl.constexpr,
    width: tl.constexpr,  # channels padded to a power of two
):
    """Store the three largest magnitudes of the three rows with the largest peaks of an image."""
    image = tl.program_id(0).to(tl.int64)
    row = tl.arange(0, padded_tokens)
    peak = tl.load(peaks + image * n_tokens + row, mask=row < n_tokens, other=-1.0)
    channel = tl.arange(0, width)
    for rank in tl.static_range(3):
        top = tl.max(peak, 0)
        leader = tl.min(tl.where(peak == top, row, 2**30), 0)
        writes = channel < tl.where(top >= 0, channels, 0)
        at = (image * n_tokens + leader) * channels + channel
        magnitude = tl.abs(tl.load(tokens + at, mask=writes, other=0).to(tl.float32))
        for place in tl.static_range(3):
            value = tl.max(magnitude, 0)
            tl.store(largest + image * 9 + rank * 3 + place, value)
            first = tl.min(tl.where(magnitude == value, channel, 2**30), 0)
            magnitude = tl.where(channel == first, -1.0, magnitude)
        peak = tl.where(row == leader, -2.0, peak)
