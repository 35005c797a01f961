"""Accumulators to what the payload holds: ``layers``, and the measured part of ``extras``.

`global_ln` is not accumulated: with the same epsilon it is the affine image of `per_layer_ln`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from analysis.errors import StatisticsError
from analysis.statistics.moments import ChannelMoments, ChannelStats, pool_moments
from analysis.statistics.state import CollectorState
from analysis.vocabulary import IMAGE_GROUPS, LAYER_NORM_EPS, Representation, TokenRole

MEASURED = (Representation.PRE.value, Representation.PER_LAYER_LN.value)
"""Representations that are accumulated, in the order of their axis."""


@dataclass(frozen=True)
class NormParameters:
    """Parameters of the model's output LayerNorm."""

    gamma: Tensor
    """Scale ``(channels,)``."""
    beta: Tensor
    """Offset ``(channels,)``."""
    cls_gamma: Tensor | None = None
    """Scale for CLS and storage tokens where their norm is untied, else None."""
    cls_beta: Tensor | None = None
    """Offset for CLS and storage tokens where their norm is untied, else None."""
    eps: float = LAYER_NORM_EPS
    """Epsilon; `global_ln` is an affine image of `per_layer_ln` only if they share it."""

    def of_role(self, role: str) -> tuple[Tensor, Tensor]:
        """Return scale and offset that apply to a role's tokens."""
        if role == TokenRole.PATCH or self.cls_gamma is None or self.cls_beta is None:
            return self.gamma, self.beta
        return self.cls_gamma, self.cls_beta


@dataclass(frozen=True)
class CollectedStatistics:
    """What a run measured, in the payload's structure."""

    layers: dict[int, dict[str, dict[str, ChannelStats]]]
    """Layer, representation, role (cls, patch)."""
    nonfinite_tokens: list[int]
    """Per layer, tokens left out for a non-finite value; a token of any role counts."""
    extras: dict[str, Any] | None
    """The payload's ``extras`` less images and samples; None unless collected."""


def summarize(state: CollectorState, norm: NormParameters) -> CollectedStatistics:
    """Turn the accumulators into statistics.

    Args:
        state: Accumulators on any device; unchanged.
        norm: Parameters of the model's output LayerNorm.

    Raises:
        StatisticsError: If a layer has no finite token of a role, naming the first such layer, or
            if the norm's epsilon is not that of `per_layer_ln`.
    """
    if norm.eps != LAYER_NORM_EPS:
        raise StatisticsError(
            f"the output norm's eps is {norm.eps}, global_ln needs {LAYER_NORM_EPS}"
        )
    view = _View({name: tensor.cpu() for name, tensor in state.state_dict().items()})
    view.require_tokens()
    layers: dict[int, dict[str, dict[str, ChannelStats]]] = {}
    for layer in range(view.depth):
        layers[layer] = {name.value: {} for name in Representation}
        for role in (TokenRole.CLS.value, TokenRole.PATCH.value):
            pre, normalized = (view.moments(layer, name, role) for name in MEASURED)
            layers[layer][Representation.PRE.value][role] = pre.finalize()
            layers[layer][Representation.PER_LAYER_LN.value][role] = normalized.finalize()
            layers[layer][Representation.GLOBAL_LN.value][role] = normalized.affine(
                *norm.of_role(role)
            ).finalize()
    return CollectedStatistics(layers, view.part["nonfinite"].tolist(), None)


class _View:
    """The accumulators on the CPU, addressed by layer, representation and role."""

    def __init__(self, part: Mapping[str, Tensor]) -> None:
        self.part = part
        self.depth = part["nonfinite"].shape[0]
        storage = part["low"].shape[2] - 2
        self.roles = ["cls", "patch", *(f"storage_{index}" for index in range(storage))]

    def cells(self, role: str) -> slice:
        """Return the cells that hold a role's tokens."""
        index = self.roles.index(role)
        if index < 2:
            return slice(index * IMAGE_GROUPS, (index + 1) * IMAGE_GROUPS)
        single = 2 * IMAGE_GROUPS + index - 2
        return slice(single, single + 1)

    def require_tokens(self) -> None:
        """Refuse a layer without any finite token of a role."""
        if not self.part["count"][: self.depth].any():
            raise StatisticsError(
                "no image was measured, or no token of any layer was finite: check the images, "
                "the weights and the precision"
            )
        for layer in range(self.depth):
            for role in self.roles:
                if not self.part["count"][layer, self.cells(role)].any():
                    raise StatisticsError(
                        f"layer {layer} gave no finite {role} token: check the weights and the "
                        "adapter, or try --precision fp32"
                    )

    def moments(self, slot: int, representation: str, role: str) -> ChannelMoments:
        """Return the merge of a role's cells."""
        index, cells = MEASURED.index(representation), self.cells(role)
        result = ChannelMoments(self.part["mean"].shape[-1])
        parts = (
            self.part["count"][slot, cells],
            self.part["mean"][slot, index, cells],
            self.part["m2"][slot, index, cells],
        )
        everything = torch.ones(1, len(parts[0]), dtype=torch.float64)
        pooled = pool_moments(parts, everything)
        result.count, result.mean, result.m2 = (tensor[0] for tensor in pooled)
        role_index = self.roles.index(role)
        result.min = self.part["low"][slot, index, role_index].double()
        result.max = self.part["high"][slot, index, role_index].double()
        return result
