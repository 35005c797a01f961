"""What a head learned about the layers that it reads: their weights and their own norms.

A head that fuses several layers may hold ``layer_logits``, one number per tapped layer whose
softmax weighs them, and ``token_norms.<i>.weight`` and ``.bias``, a LayerNorm for each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

MOST_LAYERS = 256
_NORM = re.compile(r"(?:^|\.)token_norms\.(\d{1,3})\.(weight|bias)$")


def describe_fusion(state: object) -> dict[str, Any]:
    """Return what a head's state dict says of its layers, in plain types; empty without any.

    Args:
        state: Tensors by name; anything else says nothing.

    Returns:
        ``layer_weights``: softmax of the logits, in the order of the head's layers; and
        ``token_norms``: for each norm its position ``index``, mean and std over channels of the
        scale (``gamma_mean``, ``gamma_std``) and, where it has one, root mean square of the shift
        (``beta_rms``).
    """
    if not isinstance(state, Mapping):
        return {}
    tensors = {
        str(name): value.detach().double().flatten()
        for name, value in state.items()
        if _is_vector(value) and ("layer_logits" in str(name) or "token_norms" in str(name))
    }
    found: dict[str, Any] = {}
    logits = [value for name, value in tensors.items() if re.search(r"(?:^|\.)layer_logits$", name)]
    if len(logits) == 1 and len(logits[0]) <= MOST_LAYERS:
        found["layer_weights"] = logits[0].softmax(0).tolist()
    norms: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if match := _NORM.search(name):
            norm = norms.setdefault(int(match[1]), {"index": int(match[1])})
            if match[2] == "weight":
                norm |= {"gamma_mean": value.mean().item(), "gamma_std": _spread(value)}
            else:
                norm["beta_rms"] = value.square().mean().sqrt().item()
    complete = [norms[index] for index in sorted(norms) if "gamma_mean" in norms[index]]
    if complete and len(complete) <= MOST_LAYERS:
        found["token_norms"] = complete
    return found


def _spread(value: Tensor) -> float:
    return value.std(correction=0).item()


def _is_vector(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)
        and value.layout is torch.strided
        and not (value.is_meta or value.is_nested)
        and 0 < value.numel() <= 2**20
        and bool(torch.isfinite(value).all())
    )
