"""What the LayerNorm of a token takes, measured once for the network and for the statistics."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class RowMoments(NamedTuple):
    """Moments of every token over its channels, float32 ``(images, tokens)`` each."""

    mean: Tensor
    """Rounded to float32."""
    residue: Tensor
    """What the rounded mean lacks to the mean."""
    variance: Tensor
    peak: Tensor
    """Largest magnitude."""
