"""The model's output LayerNorm, as far as `global_ln` needs it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from analysis.vocabulary import LAYER_NORM_EPS, TokenRole


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
