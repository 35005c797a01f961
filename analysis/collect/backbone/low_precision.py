"""The projections of a backbone in bf16, cast once instead of at every batch.

Autocast casts the weights of every linear layer each time it runs. Cast beforehand they give the
same products bit for bit, in half the memory. Norms, LayerScale and tokens stay float32.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from analysis.collect.backbone.vit import KeyMaskedLinear


class PlainLora(NamedTuple):
    """The parts of a layer that peft has put in the place of a linear one."""

    base: nn.Linear
    down: Tensor
    """``[rank, in]``."""
    up: Tensor
    """``[out, rank]``."""
    scale: float


def plain_lora(module: nn.Module) -> PlainLora | None:
    """Return the parts of a layer that adds ``scale * up @ down @ x`` and nothing else, or None.

    None for DoRA and other variants, several adapters, an adapter that is merged or switched off,
    and biases of the adapter's own.
    """
    if not hasattr(module, "lora_A") or type(module).__name__ != "Linear":
        return None
    layer = cast(Any, module)
    names = [name for name in layer.active_adapters if name in layer.lora_A]
    if layer.merged or layer.disable_adapters or len(names) != 1 or layer.lora_variant:
        return None
    down, up = layer.lora_A[names[0]], layer.lora_B[names[0]]
    plain = type(layer.base_layer) in (nn.Linear, KeyMaskedLinear)
    if not plain or down.bias is not None or up.bias is not None:
        return None
    return PlainLora(layer.base_layer, down.weight, up.weight, float(layer.scaling[names[0]]))


@torch.no_grad()
def cast_linears(backbone: nn.Module, dtype: torch.dtype) -> None:
    """Cast weights and biases of the linear layers in place, one after the other.

    The mask of the fused Q, K, V bias is applied to it for good. Layers of an adapter that is not
    plain LoRA keep their precision: DoRA takes the norm of the weights, in float32.
    """
    kept: set[nn.Module] = set()
    for module in backbone.modules():
        if hasattr(module, "lora_A") and plain_lora(module) is None:
            kept.update(module.modules())
    for module in backbone.modules():
        if not isinstance(module, nn.Linear) or module in kept:
            continue
        if isinstance(module, KeyMaskedLinear) and module.bias is not None:
            module.bias.mul_(module.bias_mask)
        for parameter in (module.weight, module.bias):
            if parameter is not None:
                parameter.data = parameter.data.to(dtype)
