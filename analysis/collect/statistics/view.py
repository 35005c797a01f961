"""Reading the accumulators: a layer's moments by the names that the payload uses."""

from __future__ import annotations

import torch

from analysis.collect.statistics.moments import ChannelMoments, pool_moments
from analysis.collect.statistics.state import CollectorState
from analysis.errors import StatisticsError
from analysis.vocabulary import IMAGE_GROUPS, Representation

MEASURED = (Representation.PRE.value, Representation.PER_LAYER_LN.value)
"""Representations that are accumulated, in the order of their axis."""


class StateView:
    """Accumulators addressed by layer, representation and role.

    Attributes:
        part: Every accumulator by name, on the CPU.
        depth: Number of blocks.
        has_extras: Whether the extras were accumulated; then slot ``depth`` is the embedding.
        roles: Names in the order of their axis.
    """

    def __init__(self, state: CollectorState) -> None:
        self.part = {name: tensor.cpu() for name, tensor in state.state_dict().items()}
        self.depth = self.part["nonfinite"].shape[0]
        self.has_extras = bool(self.part["peak"].shape[0])
        storage = self.part["low"].shape[2] - 2
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
