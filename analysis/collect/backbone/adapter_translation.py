"""Translate a LoRA of transformers' or timm's DINOv3 into one of the official modules, exactly.

There Q, K and V are three layers, here they are the rows of one, `attn.qkv`. Three low-rank
updates of three layers are one update of their rows: the `A` stacked, the `B` on the diagonal of
a block matrix, the rank the sum of the ranks. DoRA (Liu et al. 2024) rescales single rows, so its
magnitudes are stacked; rows that were not adapted keep the magnitude of the frozen weight.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.collect.backbone.names import name_some
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.errors import AdapterError

_SPLIT = re.compile(r"(?:model\.)?layer\.(\d+)\.attention\.([qkv])_proj")
_TIMM_FFN = {"fc1_g": "w1", "fc1_x": "w2", "fc2": "w3"}


@dataclass(frozen=True)
class Adaptation:
    """The low-rank update of one module: ``scale * b @ a``."""

    a: Tensor
    """``[rank, inputs]``, or the weight of a convolution."""
    b: Tensor
    """``[outputs, rank]``, or the weight of a convolution."""
    scale: float
    magnitude: Tensor | None = None
    """Of DoRA, ``[outputs]`` in any shape."""
    bias: Tensor | None = None
    """``[outputs]``, of peft's `lora_bias`."""

    @property
    def rank(self) -> int:
        """Return the rank of the update."""
        return self.a.shape[0]


def is_foreign(module: str, *, gated: bool) -> bool:
    """Tell whether a module has a name of transformers or timm.

    Args:
        module: Name relative to the backbone.
        gated: Whether the backbone has SwiGLU, whose layers timm names `fc1_g`, `fc1_x`, `fc2`.
    """
    if module.startswith(("layer.", "model.layer.", "embeddings.")):
        return True
    return gated and module.rpartition(".")[2] in _TIMM_FFN


def translate(
    modules: Mapping[str, Adaptation], backbone: DinoVisionTransformer
) -> dict[str, Adaptation]:
    """Return the same updates by official module.

    Args:
        modules: By name relative to a backbone of transformers or timm.
        backbone: The frozen backbone, whose rows give the magnitudes of what was not adapted. The
            part of the key bias that its mask switches off is set to zero, which changes nothing
            but what peft's DoRA would make of it.

    Raises:
        AdapterError: If a module has no counterpart, or the three layers are adapted unlike.
    """
    gated = backbone.variant.ffn == "swiglu"
    translated: dict[str, Adaptation] = {}
    fused: dict[str, dict[str, Adaptation]] = {}
    strange = []
    for name, adaptation in modules.items():
        split = _SPLIT.fullmatch(name)
        if split:
            fused.setdefault(f"blocks.{split[1]}.attn.qkv", {})[split[2]] = adaptation
        elif other := name_officially(name, gated=gated):
            translated[other] = adaptation
        else:
            strange.append(name)
    if strange:
        raise AdapterError(f"it adapts {name_some(strange)}, which this backbone does not have")
    for name, parts in fused.items():
        try:
            layer = backbone.get_submodule(name)
        except AttributeError:
            raise AdapterError(f"it adapts {name}, but the backbone has no such block") from None
        weight = layer.weight
        assert isinstance(weight, Tensor)
        translated[name] = _fuse(name, parts, weight)
        if (
            translated[name].magnitude is not None
            and (bias := getattr(layer, "bias", None)) is not None
        ):
            with torch.no_grad():
                bias.mul_(layer.bias_mask)
    return translated


def name_officially(module: str, *, gated: bool) -> str | None:
    """Return the official name of a module that has one counterpart; None if it has none."""
    name = module.removeprefix("model.")
    if name == "embeddings.patch_embeddings":
        return "patch_embed.proj"
    match = re.fullmatch(r"layer\.(\d+)\.(attention|mlp)\.(\w+)", name)
    if match:
        layers = {
            "o_proj": "attn.proj",
            "up_proj": "mlp.w2" if gated else "mlp.fc1",
            "down_proj": "mlp.w3" if gated else "mlp.fc2",
        } | ({"gate_proj": "mlp.w1"} if gated else {})
        return f"blocks.{match[1]}.{layers[match[3]]}" if match[3] in layers else None
    match = re.fullmatch(r"(blocks\.\d+\.mlp)\.(\w+)", name)
    if match and gated and match[2] in _TIMM_FFN:
        return f"{match[1]}.{_TIMM_FFN[match[2]]}"
    return name if re.match(r"blocks\.\d+\.(attn|mlp)\.|patch_embed\.proj$", name) else None


def _fuse(name: str, parts: Mapping[str, Adaptation], weight: Tensor) -> Adaptation:
    width = weight.shape[1]
    wrong = [
        f"{letter}_proj {list(part.b.shape)} {list(part.a.shape)}"
        for letter, part in parts.items()
        if part.b.ndim != 2 or part.b.shape[0] != width or part.a.shape[1:] != (width,)
    ]
    if wrong:
        raise AdapterError(f"for {name} it has {', '.join(wrong)}, expected {width} channels")
    in_order = [(row, parts[letter]) for row, letter in enumerate("qkv") if letter in parts]
    first = in_order[0][1]
    scale = first.scale or 1.0
    b = first.b.new_zeros(3 * width, sum(part.rank for _, part in in_order))
    column = 0
    for row, part in in_order:
        end = column + part.rank
        factor = 1.0 if math.isclose(part.scale, scale, rel_tol=1e-12) else part.scale / scale
        b[row * width : (row + 1) * width, column:end] = part.b * factor
        column = end
    return Adaptation(
        a=torch.cat([part.a for _, part in in_order]),
        b=b,
        scale=scale,
        magnitude=_stack_magnitudes(parts, weight),
        bias=_stack_biases(name, parts, width, scale),
    )


def _stack_magnitudes(parts: Mapping[str, Adaptation], weight: Tensor) -> Tensor | None:
    if all(part.magnitude is None for part in parts.values()):
        return None
    magnitudes = torch.linalg.norm(weight.detach(), dim=1)
    for third, letter in zip(magnitudes.chunk(3), "qkv", strict=True):
        if letter not in parts:
            continue
        part = parts[letter]
        if part.magnitude is None:
            raise AdapterError("it has magnitudes (DoRA) for some of q_proj, k_proj, v_proj only")
        third.copy_(part.magnitude.flatten())
    return magnitudes


def _stack_biases(
    name: str, parts: Mapping[str, Adaptation], width: int, scale: float
) -> Tensor | None:
    biases = {letter: part.bias for letter, part in parts.items() if part.bias is not None}
    if not biases:
        return None
    if len(biases) != len(parts):
        raise AdapterError(f"for {name} it has biases in B for some layers only")
    stacked = next(iter(biases.values())).new_zeros(3 * width)
    for third, letter in zip(stacked.chunk(3), "qkv", strict=True):
        if letter in biases:
            third.copy_(biases[letter] * (parts[letter].scale / scale))
    return stacked
