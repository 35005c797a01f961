"""Triton kernels of the forward pass: what stands between its matrix products.

Each reads and writes its tensors once. The residual sum with its LayerNorm is
`analysis.collect.statistics.measured_norm`.
"""

# Kernel code is Triton's language, which type checkers read as Python.
# pyright: reportCallIssue=false, reportIndexIssue=false, reportOperatorIssue=false
# pyright: reportArgumentType=false

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from analysis.collect.statistics.launch import launch

_BLOCK = 2048
"""Products per program."""


@triton.jit(do_not_specialize=["n_tokens"])
def rotate_rows(
    qkv,  # (rows, 3, heads, 2 * half), any float
    sin,  # (n_tokens, 2 * half) float32; both halves are equal
    cos,
    n_tokens,
    heads: tl.constexpr,
    half: tl.constexpr,
    padded_heads: tl.constexpr,  # queries' and keys' heads padded to a power of two
):
    """Rotate the queries and keys of one token in place, as `vit.rotate` does."""
    row = tl.program_id(0)
    token = row % n_tokens
    head = tl.arange(0, padded_heads)[:, None]  # the keys follow the queries
    pair = tl.arange(0, half)[None, :]
    inside = head < 2 * heads
    first_at = qkv + row.to(tl.int64) * 6 * heads * half + head * 2 * half + pair
    first = tl.load(first_at, mask=inside, other=0).to(tl.float32)
    second = tl.load(first_at + half, mask=inside, other=0).to(tl.float32)
    s = tl.load(sin + token * 2 * half + pair)
    c = tl.load(cos + token * 2 * half + pair)
    tl.store(first_at, first * c - second * s, mask=inside)
    tl.store(first_at + half, second * c + first * s, mask=inside)


@triton.jit(do_not_specialize=["n"])
def gate_rows(
    gate,  # (n,), any float
    value,  # (n,), any float
    n,
    block: tl.constexpr,
):
    """Compute ``silu(gate) * value`` into `gate`."""
    # What the matrix product wrote last is still in the cache.
    program = tl.num_programs(0) - 1 - tl.program_id(0)
    at = program.to(tl.int64) * block + tl.arange(0, block)
    inside = at < n
    g = tl.load(gate + at, mask=inside, other=0).to(tl.float32)
    v = tl.load(value + at, mask=inside, other=0).to(tl.float32)
    tl.store(gate + at, g / (1.0 + tl.exp(-g)) * v, mask=inside)


def rotate_in_place(qkv: Tensor, sin: Tensor, cos: Tensor) -> None:
    """Rotate queries and keys.

    Args:
        qkv: ``[B, T, 3, heads, head_dim]``, contiguous, on a GPU; head_dim is twice a power of two.
        sin: float32 ``[T, head_dim]``, of `vit.RopePositionEmbedding`; its halves are equal.
        cos: Likewise.
    """
    images, n_tokens, _, heads, width = qkv.shape
    with torch.cuda.device_of(qkv):
        launch(
            rotate_rows,
            (images * n_tokens,),
            qkv,
            sin,
            cos,
            n_tokens,
            heads=heads,
            half=width // 2,
            padded_heads=triton.next_power_of_2(2 * heads),
            num_warps=4,
        )


def gate_in_place(gate: Tensor, value: Tensor) -> Tensor:
    """Compute ``silu(gate) * value`` in float32, round it once, and return it in `gate`."""
    with torch.cuda.device_of(gate):
        launch(
            gate_rows,
            (triton.cdiv(gate.numel(), _BLOCK),),
            gate,
            value,
            gate.numel(),
            block=_BLOCK,
            num_warps=4,
        )
    return gate
