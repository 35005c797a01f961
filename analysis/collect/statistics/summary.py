"""Accumulators to what the payload holds: ``layers``, and the measured part of ``extras``.

`global_ln` is not accumulated: with the same epsilon it is the affine image of `per_layer_ln`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analysis.collect.statistics.extras import build_extras
from analysis.collect.statistics.moments import ChannelStats
from analysis.collect.statistics.norm import NormParameters
from analysis.collect.statistics.state import CollectorState
from analysis.collect.statistics.view import MEASURED, StateView
from analysis.errors import StatisticsError
from analysis.vocabulary import LAYER_NORM_EPS, Representation, TokenRole

__all__ = ["CollectedStatistics", "NormParameters", "summarize"]


@dataclass(frozen=True)
class CollectedStatistics:
    """What a run measured, in the payload's structure."""

    layers: dict[int, dict[str, dict[str, ChannelStats]]]
    """Layer, representation, role (cls, patch)."""
    nonfinite_tokens: list[int]
    """Per layer, tokens left out for a non-finite value; a token of any role counts."""
    extras: dict[str, Any] | None
    """The payload's ``extras`` without images; None unless collected."""

    def as_layers(self) -> dict[int, Any]:
        """Return the payload's `layers`: plain dicts, ints and float32 CPU tensors."""
        return {
            layer: {
                representation: {role: stats.as_dict() for role, stats in roles.items()}
                for representation, roles in representations.items()
            }
            for layer, representations in self.layers.items()
        }


def summarize(
    state: CollectorState, norm: NormParameters, grid: tuple[int, int]
) -> CollectedStatistics:
    """Turn the accumulators into statistics.

    Args:
        state: Accumulators on any device; unchanged.
        norm: Parameters of the model's output LayerNorm.
        grid: Rows and columns of the patch grid, for the watched channels.

    Raises:
        StatisticsError: If a layer has no finite token of a role, naming the first such layer, or
            if the norm's epsilon is not that of `per_layer_ln`.
    """
    if norm.eps != LAYER_NORM_EPS:
        raise StatisticsError(
            f"the output norm's eps is {norm.eps}, global_ln needs {LAYER_NORM_EPS}"
        )
    view = StateView(state)
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
    extras = build_extras(view, norm, grid) if view.has_extras else None
    return CollectedStatistics(layers, view.part["nonfinite"].tolist(), extras)
