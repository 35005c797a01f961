"""The forward pass that measures what its LayerNorms read, for a GPU.

The first LayerNorm of a block reads the output of the block before, as the statistics do. Here one
kernel serves both, and is faster than LayerNorm and cast apart.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import cast

import torch
from torch import Tensor, nn

from analysis.collect.backbone.vit import Block, DinoVisionTransformer
from analysis.collect.statistics.moments import RowMoments

BACKEND = "inductor"
"""Of torch.compile."""

AddBlock = Callable[[Block, Tensor, Tensor, Tensor, Tensor], Tensor]


def run_measured(
    backbone: DinoVisionTransformer, pixels: Tensor, *, compiled: bool = False
) -> Iterator[tuple[Tensor, RowMoments | None]]:
    """Yield what `forward_blocks` yields, each with the moments of its tokens where they are known.

    They are known on a GPU with Triton, of all outputs but the last.

    Args:
        backbone: The network, in evaluation.
        pixels: As of `DinoVisionTransformer.forward_blocks`.
        compiled: Compile the blocks, which share one code object: compiling the first serves all,
            and another shape of pixels compiles anew.
    """
    add: AddBlock = _compile() if compiled else Block.add
    tokens, sin, cos = backbone.embed(pixels)
    for block in cast(Iterable[Block], backbone.blocks):
        normalized, rows = _apply_norm(block.norm1, tokens)
        yield tokens, rows
        tokens = add(block, tokens, normalized, sin, cos)
    yield tokens, None


def _apply_norm(norm: nn.Module, tokens: Tensor) -> tuple[Tensor, RowMoments | None]:
    # An adapter may have put a module of its own in the place of the norm.
    if type(norm) is not nn.LayerNorm or not tokens.is_cuda or not find_spec("triton"):
        return norm(tokens), None
    from analysis.collect.statistics.measured_norm import apply_layer_norm

    return apply_layer_norm(tokens, norm)


@functools.cache  # importing the compiler takes a second
def _compile() -> AddBlock:
    return torch.compile(Block.add, dynamic=False, backend=BACKEND)
