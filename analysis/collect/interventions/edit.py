"""Fix channels of the residual stream, for chosen tokens, from one block output on.

Setting a channel to zero overstates what it does, since the network never saw a zero there: the
default is its mean over the data set (massive activations: Sun et al. 2024; registers: Darcet et
al. 2024).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.interventions.request import ALL_TOKENS, Action, TokenKind
from analysis.errors import ConfigError


@dataclass(frozen=True)
class Intervention:
    """Which channels are fixed, where, and to what."""

    layer: int
    """The first block whose output is changed, 0 to depth - 1."""
    channels: tuple[int, ...]
    tokens: tuple[TokenKind, ...] = ALL_TOKENS
    action: Action = Action.MEAN
    hold: bool = True
    """Whether every later block output is changed as well; otherwise only that of `layer`."""


Means = Mapping[TokenKind, Tensor]
"""float32 ``[depth, channels]`` for each kind of token: means of the block outputs."""


def slice_of(kind: TokenKind, n_prefix: int) -> slice:
    """Return the place of a kind of token on the token axis.

    Args:
        kind: Which tokens.
        n_prefix: Number of CLS and registers together.
    """
    return {
        TokenKind.CLS: slice(0, 1),
        TokenKind.REGISTERS: slice(1, n_prefix),
        TokenKind.PATCHES: slice(n_prefix, None),
    }[kind]


def apply_edit(
    tokens: Tensor, layer: int, intervention: Intervention, means: Means, n_prefix: int
) -> Tensor:
    """Return a copy of a block output ``[B, T, C]`` with the channels fixed.

    Without channels the tokens themselves are returned.

    Raises:
        ConfigError: If the data set's means of a kind of token are not at hand.
    """
    if not intervention.channels:
        return tokens
    channels = torch.tensor(intervention.channels, device=tokens.device)
    edited = tokens.clone()
    for kind in intervention.tokens:
        part = edited[:, slice_of(kind, n_prefix)]
        if not part.shape[1]:
            continue
        if intervention.action is Action.ZERO:
            value = torch.zeros(len(channels), device=tokens.device)
        elif intervention.action is Action.IMAGE_MEAN:
            value = part[..., channels].mean(dim=1, keepdim=True)
        elif kind in means:
            value = means[kind][layer].to(tokens.device)[channels]
        else:
            raise ConfigError(
                f"The payload holds no means of the {kind}: choose --tokens without them, or "
                f"--set {Action.IMAGE_MEAN}, or extract this version again with extras."
            )
        part[..., channels] = value.to(part.dtype)
    return edited


@torch.inference_mode()
def run_from(
    backbone: DinoVisionTransformer,
    outputs: Sequence[Tensor],
    rotation: tuple[Tensor, Tensor],
    intervention: Intervention,
    means: Means,
) -> Iterator[Tensor]:
    """Yield the changed output of the start layer, then of every later block.

    The blocks up to the start layer are not run again: their outputs are shared.

    Args:
        backbone: In evaluation mode.
        outputs: Unchanged block outputs ``[B, T, C]``, one per block.
        rotation: Sine and cosine, as `DinoVisionTransformer.embed` returns them.
        intervention: What to change.
        means: Of the data set; needed for `Action.MEAN`.
    """
    n_prefix, start = backbone.n_prefix_tokens, intervention.layer
    tokens = apply_edit(outputs[start], start, intervention, means, n_prefix)
    yield tokens
    for layer in range(start + 1, backbone.depth):
        tokens = backbone.blocks[layer](tokens, *rotation)
        if intervention.hold:
            tokens = apply_edit(tokens, layer, intervention, means, n_prefix)
        yield tokens
