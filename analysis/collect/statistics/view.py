"""Reading the accumulators: a layer's moments by the names that the payload uses."""

from __future__ import annotations

import torch

from analysis import vocabulary
from analysis.collect.statistics.moments import ChannelMoments, Moments, pool_moments
from analysis.collect.statistics.state import CollectorState
from analysis.errors import StatisticsError

MEASURED = tuple(name.value for name in vocabulary.MEASURED)
"""Representations that are accumulated, in the order of their axis."""


class StateView:
    """Accumulators addressed by layer, representation and role.

    Attributes:
        part: Every accumulator by name, on the CPU.
        depth: Number of blocks.
        has_extras: Whether the extras were accumulated.
        first_block: Slot of block 0; with extras, slot 0 holds the tokens that enter it.
        roles: Names in the order of their axis.
    """

    def __init__(self, state: CollectorState) -> None:
        self.part = {name: tensor.cpu() for name, tensor in state.state_dict().items()}
        self.depth = self.part["nonfinite"].shape[0]
        self.has_extras = bool(self.part["peak"].shape[0])
        self.first_block, self.groups = state.first_block, state.groups
        storage = self.part["low"].shape[2] - 2
        self.roles = ["cls", "patch", *(f"storage_{index}" for index in range(storage))]
        self._pooled: dict[tuple[int, str], Moments] = {}

    def cells(self, role: str) -> slice:
        """Return the cells that hold a role's tokens."""
        index = self.roles.index(role)
        if index < 2:
            return slice(index * self.groups, (index + 1) * self.groups)
        single = 2 * self.groups + index - 2
        return slice(single, single + 1)

    def require_tokens(self) -> None:
        """Refuse a layer without any finite token of a role."""
        blocks = self.part["count"][self.first_block :]
        if not blocks.any():
            raise StatisticsError(
                "no image was measured, or no token of any layer was finite: check the images, "
                "the weights and the precision"
            )
        for layer in range(self.depth):
            for role in self.roles:
                if not blocks[layer, self.cells(role)].any():
                    raise StatisticsError(
                        f"layer {layer} gave no finite {role} token: check the weights and the "
                        "adapter, or try --precision fp32"
                    )

    def moments(self, layer: int, representation: str, role: str) -> ChannelMoments:
        """Return the merge of a role's cells; layer -1 is the tokens that enter block 0."""
        slot, index = self.first_block + layer, MEASURED.index(representation)
        result = ChannelMoments(self.part["mean"].shape[-1])
        pooled = self._pool(index, role)
        result.count, result.mean, result.m2 = (tensor[slot, 0] for tensor in pooled)
        place = self.roles.index(role)
        result.min = self.part["low"][slot, index, place].double()
        result.max = self.part["high"][slot, index, place].double()
        return result

    def _pool(self, index: int, role: str) -> Moments:
        """Return a role's merged moments of all layers at once, ``(slots, 1, ...)``; made once."""
        key = index, role
        if key not in self._pooled:
            cells = self.cells(role)
            parts = (
                self.part["count"][:, cells],
                self.part["mean"][:, index, cells],
                self.part["m2"][:, index, cells],
            )
            everything = torch.ones(1, parts[0].shape[1], dtype=torch.float64)
            self._pooled[key] = pool_moments(parts, everything)
        return self._pooled[key]
