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

from __future__ import annotations

import triton
import triton.language as tl

from analysis.collect.statistics.batch import PLACE_MASK
from analysis.collect.statistics.kernels import PACKED_BITS
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


@triton.jit(
    do_not_specialize=[
        "first_slot",
        "images",
        "first_slot",
        "images",
        "first_slot",
        "images",
        "sampled",
    ],
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
