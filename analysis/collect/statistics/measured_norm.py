"""A LayerNorm that measures the tokens it reads, on a GPU; needs Triton.

The LayerNorm that follows a block reads the block's output, and so do the statistics: one kernel
serves both. It can add the residual branch on the way, whose sum it then reads from registers.
"""

# Kernel code is Triton's language, which type checkers read as Python.
# pyright: reportCallIssue=false, reportIndexIssue=false, reportOperatorIssue=false
# pyright: reportArgumentType=false

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from analysis.collect.statistics.launch import launch
from analysis.collect.statistics.moments import RowMoments
from analysis.vocabulary import LAYER_NORM_EPS

_EPS = tl.constexpr(LAYER_NORM_EPS)


@triton.jit(do_not_specialize_on_alignment=["means", "residues", "variances", "peaks"])
def measure_rows(
    tokens,  # (images, n_tokens, channels), any float
    weight,  # (channels,) float32, of the LayerNorm; read if `normalizes`
    bias,  # (channels,) float32, of the LayerNorm; read if `normalizes`
    normalized,  # (images, n_tokens, channels), any float; written if `normalizes`
    branch,  # (images, n_tokens, channels), any float, residual branch; read if `adds`
    gamma,  # (channels,) float32, LayerScale of the branch; read if `adds`
    total,  # (images, n_tokens, channels) float32, tokens + gamma * branch; written if `adds`
    means,  # (images, n_tokens) float32, over channels, rounded
    residues,  # (images, n_tokens) float32, exact mean less the rounded one
    variances,  # (images, n_tokens) float32, over channels
    peaks,  # (images, n_tokens) float32, largest magnitude
    channels: tl.constexpr,
    width: tl.constexpr,  # channels padded to a power of two
    adds: tl.constexpr,  # whether the branch is added first
    normalizes: tl.constexpr,  # whether the LayerNorm is applied
):
    """Measure one token, or its sum with a scaled branch, and apply a LayerNorm to it.

    Centred twice, since the first mean is rounded, which shows where it dwarfs the deviations.
    """
    # In reverse, so that the first rows read are still in the L2 cache, and the last ones read stay
    # there for the next kernel.
    row = tl.num_programs(0) - 1 - tl.program_id(0)
    channel = tl.arange(0, width)
    inside = channel < channels
    first = row.to(tl.int64) * channels
    x = tl.load(tokens + first + channel, mask=inside, other=0).to(tl.float32)
    if adds:
        change = tl.load(branch + first + channel, mask=inside, other=0).to(tl.float32)
        x += change * tl.load(gamma + channel, mask=inside, other=0)
        tl.store(total + first + channel, x, mask=inside)
    mean = tl.sum(x, 0) / channels
    y = tl.where(inside, x - mean, 0.0)
    residue = tl.sum(y, 0) / channels
    variance = tl.maximum(tl.sum(y * y, 0) / channels - residue * residue, 0.0)
    tl.store(means + row, mean)
    tl.store(residues + row, residue)
    tl.store(variances + row, variance)
    tl.store(peaks + row, tl.max(tl.abs(x), 0))
    if normalizes:
        scale = tl.load(weight + channel, mask=inside) / tl.sqrt(variance + _EPS)
        y = (y - residue) * scale + tl.load(bias + channel, mask=inside)
        tl.store(normalized + first + channel, y, mask=inside)


def measure(tokens: Tensor) -> RowMoments:
    """Measure the rows of contiguous tokens ``(images, tokens, channels)``."""
    moments = _new_moments(tokens)
    _launch(tokens, (tokens,) * 3, (tokens,) * 3, moments)
    return moments


def apply_layer_norm(tokens: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, RowMoments]:
    """Apply a LayerNorm with weight and bias, and measure the rows on the way.

    Args:
        tokens: ``(images, tokens, channels)``, any float dtype, on a GPU.
        norm: Its epsilon must be that of the backbone's LayerNorms.

    Returns:
        The normalised tokens, in the precision of autocast or else float32, and the moments.
    """
    tokens, name = tokens.contiguous(), tokens.device.type
    autocast = torch.is_autocast_enabled(name)
    dtype = torch.get_autocast_dtype(name) if autocast else torch.float32
    normalized, moments = torch.empty_like(tokens, dtype=dtype), _new_moments(tokens)
    _launch(tokens, (norm.weight, norm.bias, normalized), (tokens,) * 3, moments)
    return normalized, moments


def add_and_normalize(
    tokens: Tensor, branch: Tensor, gamma: Tensor, norm: nn.LayerNorm, *, in_place: bool = False
) -> tuple[Tensor, Tensor, RowMoments]:
    """Compute ``tokens + branch * gamma``, its LayerNorm and its moments in one pass.

    Args:
        tokens: Residual stream, float32 ``(images, tokens, channels)``, contiguous, on a GPU.
        branch: Output of the attention or the feed-forward part, any float, same shape.
        gamma: LayerScale, float32 ``(channels,)``.
        norm: Its epsilon must be that of the backbone's LayerNorms.
        in_place: Write the sum over `tokens`.

    Returns:
        The sum (float32), its LayerNorm in the dtype of `branch`, and the moments of the sum.
    """
    branch = branch.contiguous()
    total = tokens if in_place else torch.empty_like(tokens)
    normalized, moments = torch.empty_like(branch), _new_moments(tokens)
    _launch(
        tokens, (norm.weight, norm.bias, normalized), (branch, gamma, total), moments, adds=True
    )
    return total, normalized, moments


def _new_moments(tokens: Tensor) -> RowMoments:
    images, n_tokens, _ = tokens.shape
    return RowMoments(*tokens.new_empty(4, images, n_tokens, dtype=torch.float32).unbind())


def _launch(
    tokens: Tensor,
    norm: tuple[Tensor, Tensor, Tensor],
    residual: tuple[Tensor, Tensor, Tensor],
    moments: RowMoments,
    *,
    adds: bool = False,
) -> None:
    images, n_tokens, channels = tokens.shape
    width = triton.next_power_of_2(channels)
    with torch.cuda.device_of(tokens):  # Triton launches on the current device
        launch(
            measure_rows,
            (images * n_tokens,),
            tokens,
            *norm,
            *residual,
            *moments,
            channels=channels,
            width=width,
            adds=adds,
            normalizes=norm[0] is not tokens,
            num_warps=max(1, width // 2048),
        )
