"""Load the network that a payload was made with, and refuse any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from analysis.collect.backbone.adapters import attach_adapter
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.backbone.weights import WeightsInfo, load_backbone
from analysis.errors import AdapterError, CheckpointError


@dataclass(frozen=True)
class MeasuredNetwork:
    """A backbone in evaluation mode, and the digests of the files that made it."""

    backbone: DinoVisionTransformer
    weights_sha256: str
    adapter_sha256: str
    """Empty without an adapter."""

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(weight.numel() for weight in self.backbone.parameters())


def load_measured(
    name: str,
    weights: Path,
    head: Path | None,
    config: Mapping[str, Any],
    *,
    weights_key: str | None = None,
    weights_sha256: str | None,
    adapter_sha256: str | None,
    device: torch.device | None = None,
) -> MeasuredNetwork:
    """Load the backbone, with the head's adapter where there is a head.

    Args:
        name: Of the backbone.
        weights: Its weights.
        head: The head that holds the adapter; None for the frozen backbone.
        config: The training config.
        weights_key: Which backbone of a file with several, as `--weights-key` named it.
        weights_sha256: What the weights must be; None where that is not known.
        adapter_sha256: What the adapter must be; None likewise.
        device: Where the parameters are put; the CPU where None.

    Raises:
        CheckpointError: If the weights cannot be used or are others.
        AdapterError: If the adapter cannot be attached or is another one.
    """
    loaded: list[WeightsInfo] = []

    def build() -> DinoVisionTransformer:
        place = device or torch.device("cpu")
        backbone, info = load_backbone(name, weights, place, key=weights_key)
        loaded.append(info)
        return backbone

    backbone, adapter = attach_adapter(build, head, dict(config))
    backbone.eval().requires_grad_(False)
    found = loaded[-1].sha256
    if weights_sha256 not in (None, found):
        raise CheckpointError(
            f"{weights}: these are not the weights that the payload was made with. "
            "Extract this version again, put the old weights back, or choose others."
        )
    if adapter.lora_error:
        raise AdapterError(adapter.lora_error)
    if head is not None and not adapter.used_lora:
        raise AdapterError(f"{head}: this head holds no adapter. Choose another one, or none.")
    if head is not None and adapter_sha256 not in (None, adapter.sha256):
        raise AdapterError(
            f"{head}: this is not the adapter that the payload was made with. "
            "Extract this version again, put the old head back, or choose another."
        )
    return MeasuredNetwork(backbone, found, adapter.sha256 or "")
