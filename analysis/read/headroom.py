"""How much room a channel leaves in the number formats that networks are deployed in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FP16_LARGEST = 65504.0
FP16_SMALLEST = 2.0**-24
INT8_LEVELS = 255.0


def find_fp16_headroom(max_abs: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return by what factor each channel could grow before fp16 overflows.

    Below 1 it overflows already. A channel that fp16 cannot tell from 0 counts as its smallest.
    """
    return FP16_LARGEST / np.maximum(np.asarray(max_abs, dtype=np.float64), FP16_SMALLEST)


def find_int8_levels(max_abs: NDArray[np.floating], typical: float) -> NDArray[np.float64]:
    """Return how many int8 levels a typical channel keeps if one scale must cover each channel.

    A symmetric scale with 255 levels from -max |x| to max |x| of the channel leaves
    ``255 · typical / max |x|`` of them to a channel of the typical size (SmoothQuant, Xiao et al.
    2023, section 3); at most all of them.

    Args:
        max_abs: ``[channels]``: of the channels that would set the scale.
        typical: max |x| of the median channel of the tensor.
    """
    sizes = np.asarray(max_abs, dtype=np.float64)
    share = np.divide(typical, sizes, out=np.ones(sizes.shape), where=sizes > typical)
    return INT8_LEVELS * share
