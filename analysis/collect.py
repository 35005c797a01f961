"""Run the backbone once over the images and collect the statistics of every block output.

    images -> backbone -> collector -> payload

Block outputs are consumed one by one as the forward pass makes them; nothing but the running
moments is kept, and nothing is copied to the host before the last batch.
"""

from __future__ import annotations

import importlib.metadata
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from analysis import __version__
from analysis.backbone.adapters import AdapterState, attach_adapter, measure_lora_proof
from analysis.backbone.checkpoints import WeightsInfo, load_backbone
from analysis.backbone.vit import DinoVisionTransformer
from analysis.devices import (
    choose_batch_size,
    choose_device,
    choose_precision,
    device_name,
    enter_precision,
)
from analysis.errors import ImageError
from analysis.images import PastureDataModule, normalize
from analysis.progress import ProgressReporter
from analysis.request import ExtractionPlan
from analysis.statistics.collector import (
    CollectedStatistics,
    NormParameters,
    StatisticsCollector,
)
from analysis.vocabulary import SCHEMA_VERSION

PROOF_IMAGES = 8
"""Images on which the adapter's effect is measured (DESIGN: LoRA proof)."""
NAMED_SKIPS = 1000
"""Skipped files named in the payload; all are counted."""

log = logging.getLogger("analysis")


@dataclass
class _Forward:
    """The network and everything that decides how a batch runs through it."""

    backbone: DinoVisionTransformer
    weights: WeightsInfo
    adapter: AdapterState
    device: torch.device
    precision: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def block_outputs(self, pixels: Tensor) -> Iterator[Tensor]:
        """Yield the tokens that enter block 0, then every block's output."""
        images = normalize(pixels.to(self.device, non_blocking=True), self.mean, self.std)
        yield from self.backbone.forward_blocks(images)


@dataclass
class _Tally:
    """What the loop counted besides the statistics."""

    num_images: int = 0
    num_batches: int = 0
    skipped: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0


def collect_payload(plan: ExtractionPlan, reporter: ProgressReporter) -> dict[str, Any]:
    """Run one extraction and return its payload (CPU tensors and plain types).

    Raises:
        InputError: If the device, the weights, the images or (with ``strict``) a single image
            cannot be used. A broken adapter is not an error: the frozen backbone is measured, and
            the payload and the log say so.
    """
    request, settings = plan.request, plan.settings
    for notice in plan.notices:
        log.warning("%s", notice)
    device = choose_device(request.device or "auto")
    precision = choose_precision(request.precision or "auto", device)
    reporter.say("preparing", "loading the backbone")
    forward = _load_network(plan, device, precision)
    if forward.adapter.lora_error:
        log.error(
            "THE LORA ADAPTER WAS NOT LOADED, the frozen backbone is measured: %s",
            forward.adapter.lora_error,
        )
    data = _open_images(plan, forward)
    proof = _prove_adapter(data, forward, reporter)
    collector = StatisticsCollector(
        forward.backbone.depth,
        forward.backbone.embed_dim,
        forward.backbone.n_storage_tokens,
        device,
        extras=request.extras,
    )
    tally = _run(data, forward, collector, reporter, total=len(plan.images.entries))
    if tally.num_images == 0:
        index, reason = tally.skipped[0]
        raise ImageError(
            f"{settings.data_root}: none of the {len(plan.images.entries)} images can be read. "
            f"The first: {plan.images.entries[index].path}: {reason}"
        )
    reporter.say("saving", "finishing the statistics")
    statistics = collector.finalize(_norm_parameters(forward.backbone))
    run = _describe_run(plan, forward, data, tally, statistics, proof)
    for warning in run["warnings"]:
        log.warning("%s", warning)
    return _assemble(plan, forward, tally, statistics, run)


def _load_network(plan: ExtractionPlan, device: torch.device, precision: str) -> _Forward:
    settings = plan.settings
    loaded: list[WeightsInfo] = []

    def build() -> DinoVisionTransformer:
        backbone, info = load_backbone(settings.backbone_name, plan.weights.path, device)
        loaded.append(info)
        return backbone

    backbone, adapter = attach_adapter(build, plan.head_path, settings.config)
    backbone.eval().requires_grad_(False)
    log.info("backbone %s from %s", settings.backbone_name, plan.weights.path)
    return _Forward(backbone, loaded[-1], adapter, device, precision, settings.mean, settings.std)


def _open_images(plan: ExtractionPlan, forward: _Forward) -> PastureDataModule:
    request, settings = plan.request, plan.settings
    width, height = settings.image_size
    rows, columns = forward.backbone.patch_grid(height, width)
    tokens = 1 + forward.backbone.n_storage_tokens + rows * columns
    data = PastureDataModule(
        settings,
        plan.images,
        batch_size=request.batch_size or choose_batch_size(tokens, forward.device),
        num_workers=request.num_workers,
        strict=request.strict,
        pin_memory=forward.device.type == "cuda",
    )
    for warning in data.warnings:
        log.warning("%s", warning)
    return data


@torch.inference_mode()
def _prove_adapter(
    data: PastureDataModule, forward: _Forward, reporter: ProgressReporter
) -> list[float] | None:
    if not forward.adapter.used_lora:
        return None
    reporter.say("preparing", "measuring what the adapter changes")
    pixels = data.first_images(PROOF_IMAGES)
    if pixels is None:
        return None
    images = normalize(pixels.to(forward.device), forward.mean, forward.std)
    with enter_precision(forward.precision, forward.device):
        return measure_lora_proof(forward.backbone, images)


@torch.inference_mode()
def _run(
    data: PastureDataModule,
    forward: _Forward,
    collector: StatisticsCollector,
    reporter: ProgressReporter,
    *,
    total: int,
) -> _Tally:
    tally = _Tally()
    reporter.begin(total)
    start = time.perf_counter()
    with enter_precision(forward.precision, forward.device):
        for batch in data.train_batches():
            tally.skipped += batch.failures
            for index, reason in batch.failures:
                log.warning("skipped %s: %s", data.images.entries[index].path, reason)
            valid = len(batch.indices) - len(batch.failures)
            if valid:
                collector.begin_batch(batch.indices, batch.valid)
                for layer, tokens in enumerate(forward.block_outputs(batch.pixels), start=-1):
                    collector.observe(layer, tokens)
                collector.commit_batch()
                tally.num_images += valid
                tally.num_batches += 1
            reporter.advance(len(batch.indices))
    if forward.device.type == "cuda":
        torch.cuda.synchronize(forward.device)
    tally.seconds = time.perf_counter() - start
    return tally


def _norm_parameters(backbone: DinoVisionTransformer) -> NormParameters:
    norm, cls_norm = backbone.norm, backbone.cls_norm
    return NormParameters(
        gamma=norm.weight,
        beta=norm.bias,
        cls_gamma=None if cls_norm is None else cls_norm.weight,
        cls_beta=None if cls_norm is None else cls_norm.bias,
        eps=norm.eps,
    )


def _describe_run(
    plan: ExtractionPlan,
    forward: _Forward,
    data: PastureDataModule,
    tally: _Tally,
    statistics: CollectedStatistics,
    proof: list[float] | None,
) -> dict[str, Any]:
    """Return `meta["run"]`: how the numbers came about (plain types only)."""
    entries, settings, adapter = plan.images.entries, plan.settings, forward.adapter
    warnings = [*plan.notices, *data.warnings, *adapter.warnings]
    if adapter.lora_error:
        warnings.append(f"The adapter was not loaded: {adapter.lora_error}")
    if tally.skipped:
        warnings.append(f"{len(tally.skipped)} image(s) could not be read and were skipped.")
    if any(statistics.nonfinite_tokens):
        warnings.append(
            f"{sum(statistics.nonfinite_tokens)} token outputs were NaN or infinite and were "
            "left out of their layer's statistics."
        )
    if proof is not None and not any(proof):
        warnings.append(
            "The adapter changes no layer's output on the proof images: its weights are as good "
            "as untrained."
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "torch_version": str(torch.__version__),
        "peft_version": _version_of("peft") if adapter.used_lora else None,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config_name": settings.config_path.name,
        "device": str(forward.device),
        "device_name": device_name(forward.device),
        "precision": forward.precision,
        "image_size": list(settings.image_size),
        "network_size": list(data.network_size),
        "split": plan.images.split,
        "max_images": plan.request.max_images or 0,
        "batch_size": data.batch_size,
        "world_size": 1,
        "normalization": {"mean": list(settings.mean), "std": list(settings.std)},
        "dataset_fingerprint": plan.images.fingerprint,
        "request_fingerprint": plan.fingerprint,
        "weights_sha256": forward.weights.sha256,
        "weights_format": forward.weights.format,
        "adapter_sha256": adapter.sha256 if adapter.used_lora else None,
        "heads": [str(path) for path in plan.heads.paths],
        "head_index": plan.request.head_index or 0,
        "skipped_files": [
            {"path": entries[index].relative, "reason": reason}
            for index, reason in tally.skipped[:NAMED_SKIPS]
        ],
        "skipped_count": len(tally.skipped),
        "dropped_missing_target": plan.images.dropped_missing_target,
        "warnings": warnings,
        "nonfinite_tokens": statistics.nonfinite_tokens,
        "lora_proof": proof,
        "seconds": tally.seconds,
        "images_per_second": tally.num_images / tally.seconds,
    }


def _assemble(
    plan: ExtractionPlan,
    forward: _Forward,
    tally: _Tally,
    statistics: CollectedStatistics,
    run: dict[str, Any],
) -> dict[str, Any]:
    backbone, adapter = forward.backbone, forward.adapter
    payload: dict[str, Any] = {
        "meta": {
            "project_dir": str(plan.settings.project_dir),
            "config": plan.settings.config,
            "backbone": {
                "backbone_name": plan.settings.backbone_name,
                "dino_weights_pt": str(plan.weights.path.resolve()),
                "head_weights_base": _text(plan.heads.base),
                "first_head_path": _text(plan.head_path),
                "used_lora": adapter.used_lora,
                "lora_error": adapter.lora_error,
            },
            "counts": {
                "num_images": tally.num_images,
                "num_batches": tally.num_batches,
                "num_layers": backbone.depth,
                "embedding_dim": backbone.embed_dim,
                "n_storage_tokens": backbone.n_storage_tokens,
            },
            "run": run,
        },
        "layers": {
            layer: {
                representation: {
                    role: {
                        "count": stats.count,
                        "mean": stats.mean,
                        "std": stats.std,
                        "max_abs": stats.max_abs,
                    }
                    for role, stats in roles.items()
                }
                for representation, roles in representations.items()
            }
            for layer, representations in statistics.layers.items()
        },
    }
    if statistics.extras is not None:
        entries = plan.images.entries
        width, height = run["network_size"]
        statistics.extras["images"] = {
            "paths": [entry.relative for entry in entries],
            "grid": list(backbone.patch_grid(height, width)),
        }
        payload["extras"] = statistics.extras
    return payload


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
