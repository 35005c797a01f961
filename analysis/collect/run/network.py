"""The network of one extraction: backbone, adapter, device and precision in one place."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from analysis.collect.backbone.adapter_facts import describe_missing_head
from analysis.collect.backbone.adapters import AdapterState, attach_adapter, measure_lora_proof
from analysis.collect.backbone.low_precision import cast_linears
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.backbone.weights import WeightsInfo, load_backbone
from analysis.collect.images.batches import normalize_pixels
from analysis.collect.plan.request import ExtractionPlan
from analysis.collect.plan.settings import NO_HEAD
from analysis.collect.run.devices import choose_precision, enter_precision
from analysis.collect.run.fused_forward import can_fuse, run_fused
from analysis.collect.run.measured_forward import run_measured
from analysis.collect.statistics.collector import NormParameters
from analysis.collect.statistics.moments import RowMoments

FOOTPRINT_CHANNELS = 8
"""Channels per layer whose footprint is kept."""

log = logging.getLogger("analysis")


@dataclass
class Network:
    """A loaded backbone and everything that decides how a batch runs through it."""

    backbone: DinoVisionTransformer
    weights: WeightsInfo
    adapter: AdapterState
    device: torch.device
    precision: str
    """fp32, tf32 or bf16."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    compiled: bool = False
    """Whether `measured_outputs` compiles the blocks; may be set between batches."""
    fused: bool = field(init=False)
    """Whether it runs fused kernels otherwise: in bf16 on a GPU with Triton."""

    def __post_init__(self) -> None:
        if self.precision == "bf16":
            cast_linears(self.backbone, torch.bfloat16)
        on_gpu = self.device.type == "cuda"
        self.fused = on_gpu and self.precision == "bf16" and can_fuse(self.backbone)
        # made once: a tensor that is made from numbers on a GPU waits for all that runs there
        self._mean, self._std = (torch.tensor(x, device=self.device) for x in (self.mean, self.std))

    def measured_outputs(self, pixels: Tensor) -> Iterator[tuple[Tensor, RowMoments | None]]:
        """Yield what `block_outputs` yields, and what the network has measured of it."""
        with enter_precision(self.precision, self.device):
            images = self._prepare(pixels)
            if self.fused and not self.compiled:
                yield from run_fused(self.backbone, images)
            else:
                yield from run_measured(self.backbone, images, compiled=self.compiled)

    def block_outputs(self, pixels: Tensor) -> Iterator[Tensor]:
        """Yield the tokens that enter block 0, then every block's output, one at a time.

        Args:
            pixels: uint8 ``[B, 3, H, W]`` on any device.

        Yields:
            float32 ``[B, 1 + S + N, C]`` on the network's device.
        """
        with enter_precision(self.precision, self.device):
            yield from self.backbone.forward_blocks(self._prepare(pixels))

    def _prepare(self, pixels: Tensor) -> Tensor:
        return normalize_pixels(pixels.to(self.device, non_blocking=True), self._mean, self._std)

    def prove_adapter(self, pixels: Tensor) -> list[float]:
        """Return the relative change of each layer's output that the adapter makes on `pixels`."""
        images = self._prepare(pixels)
        with enter_precision(self.precision, self.device):
            return measure_lora_proof(self.backbone, images)

    def find_largest_channels(self, pixels: Tensor, count: int, rows: int = 1) -> Tensor:
        """Return each layer's channels of the largest patch magnitude, the largest first.

        Args:
            pixels: uint8 ``[n, 3, H, W]``; run one at a time, or in batches with fused kernels.
            count: Channels per layer.
            rows: Images per batch of the run, whose kernels serve here too.

        Returns:
            int64 ``[depth, count]`` on the CPU.
        """
        first_patch = self.backbone.n_prefix_tokens
        largest: list[Tensor] = []
        rows = rows if self.fused else 1
        for images in pixels.split(rows):
            n = len(images)
            outputs = self.measured_outputs(F.pad(images, (0, 0, 0, 0, 0, 0, 0, rows - n)))
            next(outputs)  # what enters block 0
            peaks = [tokens[:n, first_patch:].abs().amax(1) for tokens, _ in outputs]
            largest.append(torch.stack(peaks, 1).nan_to_num())
        peaks = torch.cat(largest).amax(0)
        return peaks.topk(min(count, peaks.shape[1])).indices.cpu()

    def norm_parameters(self) -> NormParameters:
        """Return the shared output norm (`norm`, and `cls_norm` where untied)."""
        norm, cls_norm = self.backbone.norm, self.backbone.cls_norm
        return NormParameters(
            gamma=norm.weight,
            beta=norm.bias,
            cls_gamma=None if cls_norm is None else cls_norm.weight,
            cls_beta=None if cls_norm is None else cls_norm.bias,
            eps=norm.eps,
        )


def load_network(plan: ExtractionPlan, device: torch.device) -> Network:
    """Load the planned weights and head onto the device, in evaluation mode.

    Raises:
        DeviceError: If the device lacks the precision asked for.
        CheckpointError: If the weights cannot be used. A broken adapter is not an error: the
            frozen backbone is returned and `adapter.lora_error` says why.
    """
    settings = plan.settings
    precision = choose_precision(plan.request.precision or "auto", device)
    loaded: list[WeightsInfo] = []

    def build() -> DinoVisionTransformer:
        backbone, info = load_backbone(
            settings.backbone_name, plan.weights.path, device, key=plan.request.weights_key
        )
        loaded.append(info)
        return backbone

    backbone, adapter = attach_adapter(build, plan.head_path, settings.config)
    backbone.eval().requires_grad_(False)
    asked_frozen = (plan.request.head_weights or "").lower() == NO_HEAD
    if plan.head_path is None and not asked_frozen:
        adapter = replace(adapter, warnings=describe_missing_head(settings.config))
    log.info("backbone %s from %s", settings.backbone_name, plan.weights.path)
    for warning in (*loaded[-1].notices, *adapter.warnings):
        log.warning("%s", warning)
    if adapter.lora_error:
        log.error(
            "THE LORA ADAPTER WAS NOT LOADED, the frozen backbone is measured: %s",
            adapter.lora_error,
        )
    return Network(backbone, loaded[-1], adapter, device, precision, settings.mean, settings.std)
