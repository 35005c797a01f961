"""Attach the LoRA adapter of a head to a backbone, or say why not and stay frozen.

The adapter is attached by peft to our own module, in place, so that the arithmetic is that of the
training run: LoRA adds ``scale * B A x`` to a layer; DoRA (Liu et al. 2024) rescales the rows of
``W + scale * B A`` to learned magnitudes. peft is imported only when there is an adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from analysis.collect.backbone.adapter_config import (
    build_lora_config,
    check_kind,
    supply_settings,
)
from analysis.collect.backbone.adapter_facts import compare_with_training, describe_adapter
from analysis.collect.backbone.adapter_plan import plan_adapter
from analysis.collect.backbone.head_file import Head, read_head
from analysis.collect.backbone.lora_proof import describe_lora_proof, measure_lora_proof
from analysis.collect.backbone.names import compare_tensors, name_some
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.errors import AdapterError

__all__ = [
    "AdapterState",
    "Head",
    "attach_adapter",
    "describe_lora_proof",
    "measure_lora_proof",
    "read_head",
]


@dataclass(frozen=True)
class AdapterState:
    """What became of the adapter of a run."""

    used_lora: bool = False
    lora_error: str | None = None
    """Why the adapter in the head was not attached; None if it was, or if there is none."""
    head_path: Path | None = None
    sha256: str | None = None
    """Of the adapter's content, the same in every head that carries it."""
    summary: dict[str, Any] = field(default_factory=dict)
    """Rank, scale, kind and reach of the adapter, in plain types; empty without one."""
    head_fusion: dict[str, Any] = field(default_factory=dict)
    """Weights and norms of the layers that the head reads, in plain types; empty without any."""
    warnings: list[str] = field(default_factory=list)


def attach_adapter(
    build: Callable[[], DinoVisionTransformer],
    head_path: Path | None,
    expected: Mapping[str, Any],
) -> tuple[DinoVisionTransformer, AdapterState]:
    """Build the backbone and attach the adapter of a head to it.

    An adapter that does not fit in every name and shape is not attached at all: the backbone is
    built anew, so that nothing of the attempt stays, and `lora_error` says why.

    Args:
        build: Makes the frozen backbone with its weights; called again after a failed attempt.
        head_path: A head file or peft adapter folder; None for the frozen backbone.
        expected: The training config as parsed, compared with the head.

    Returns:
        The backbone in evaluation mode without gradients, and what became of the adapter.

    Raises:
        AdapterError: If the head itself cannot be read (`read_head`).
    """
    if head_path is None:
        return _freeze(build()), AdapterState()
    head = supply_settings(read_head(head_path), expected)
    backbone = build()
    warnings = [*head.notices, *compare_with_training(head, expected, backbone)]
    if head.peft_state is None and head.fault is None:
        return _freeze(backbone), AdapterState(
            head_path=head_path, head_fusion=head.fusion, warnings=warnings
        )
    error: str | None = None
    try:
        warnings += _inject(backbone, head)
    except AdapterError as failure:
        error = f"{head_path}: the adapter does not fit: {failure}."
    if error:
        # The old one must be gone, traceback included: a large backbone fits only once.
        del backbone
        backbone = build()
    return _freeze(backbone), AdapterState(
        used_lora=error is None,
        lora_error=error,
        head_path=head_path,
        sha256=None if error else head.sha256,
        summary={} if error else describe_adapter(head, backbone),
        head_fusion=head.fusion,
        warnings=warnings,
    )


def _freeze(backbone: DinoVisionTransformer) -> DinoVisionTransformer:
    return backbone.eval().requires_grad_(False)


def _inject(backbone: DinoVisionTransformer, head: Head) -> list[str]:
    """Attach and fill the adapter in place; return warnings. After an error, drop the backbone."""
    if head.fault or head.peft_config is None or head.peft_state is None:
        raise AdapterError(head.fault or "it is incomplete")
    peft = _import_peft()
    check_kind(head.peft_config)
    plan = plan_adapter(head, backbone)
    config, warnings = build_lora_config(plan.settings)
    warnings += plan.warnings
    try:
        peft.inject_adapter_in_model(config, backbone)
        wanted = peft.get_peft_model_state_dict(
            backbone, state_dict=backbone.state_dict(), save_embedding_layers=False
        )
    except torch.OutOfMemoryError:
        raise
    except Exception as failure:  # settings from a file can make peft fail in any way
        raise AdapterError(f"peft cannot attach it ({_one_line(failure)})") from failure
    faults = compare_tensors(_shapes(plan.state), _shapes(wanted))
    if faults:
        raise AdapterError(faults)
    result = peft.set_peft_model_state_dict(backbone, plan.state)
    if result.unexpected_keys:
        raise AdapterError(f"peft did not take {name_some(result.unexpected_keys)}")
    if config.bias != "none":
        warnings.append(
            f"The adapter trained biases of the backbone too (bias: {config.bias}): the LoRA proof "
            "leaves their effect out, since switching the adapter off keeps them."
        )
    return warnings


def _import_peft() -> ModuleType:
    try:
        import peft
    except Exception as failure:  # a broken torchvision or transformers shows as anything
        raise AdapterError(
            f"peft cannot be imported ({_one_line(failure)}). Install the packages of "
            "requirements.txt, or remove a torchvision that does not match torch"
        ) from failure
    return peft


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


def _one_line(failure: Exception) -> str:
    text = " ".join(str(failure).split())
    return f"{type(failure).__name__}: {text[:300]}"
