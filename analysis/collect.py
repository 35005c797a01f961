"""Run the backbone once over the images and collect the statistics of every block output.

    images -> backbone -> collector -> payload

Block outputs are consumed one by one as the forward pass makes them; nothing but the running
moments is kept, and nothing is copied to the host before the last batch.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import torch

from analysis.devices import choose_batch_size, choose_device
from analysis.errors import ImageError
from analysis.images import ImageBatch, PastureDataModule
from analysis.network import Network, load_network
from analysis.progress import ProgressReporter
from analysis.request import ExtractionPlan
from analysis.run_record import Tally, describe_run
from analysis.statistics.collector import CollectedStatistics, StatisticsCollector

PROOF_IMAGES = 8
"""Images on which the adapter's effect is measured."""

log = logging.getLogger("analysis")


@torch.inference_mode()
def collect_payload(plan: ExtractionPlan, reporter: ProgressReporter) -> dict[str, Any]:
    """Run one extraction and return its payload (CPU tensors and plain types).

    Raises:
        InputError: If the device, the weights, the images or (with ``strict``) a single image
            cannot be used. A broken adapter is not an error: the frozen backbone is measured, and
            the payload and the log say so.
    """
    for notice in plan.notices:
        log.warning("%s", notice)
    device = choose_device(plan.request.device or "auto")
    reporter.say("preparing", "loading the backbone")
    network = load_network(plan, device)
    data = _open_images(plan, network)
    proof = _prove_adapter(data, network, reporter)
    backbone = network.backbone
    collector = StatisticsCollector(
        backbone.depth,
        backbone.embed_dim,
        backbone.n_storage_tokens,
        device,
        extras=plan.request.extras,
    )
    tally = _run(data, network, collector, reporter)
    reporter.say("saving", "finishing the statistics")
    statistics = collector.finalize(network.norm_parameters())
    run = describe_run(plan, network, data, tally, statistics, proof)
    return _assemble(plan, network, tally, statistics, run)


def _open_images(plan: ExtractionPlan, network: Network) -> PastureDataModule:
    width, height = plan.settings.image_size
    rows, columns = network.backbone.patch_grid(height, width)
    tokens = 1 + network.backbone.n_storage_tokens + rows * columns
    data = PastureDataModule(
        plan.settings,
        plan.images,
        batch_size=plan.request.batch_size or choose_batch_size(tokens, network.device),
        num_workers=plan.request.num_workers,
        strict=plan.request.strict,
        pin_memory=network.device.type == "cuda",
    )
    for warning in data.warnings:
        log.warning("%s", warning)
    return data


def _prove_adapter(
    data: PastureDataModule, network: Network, reporter: ProgressReporter
) -> list[float] | None:
    if not network.adapter.used_lora:
        return None
    reporter.say("preparing", "measuring what the adapter changes")
    pixels = data.first_images(PROOF_IMAGES)
    return None if pixels is None else network.prove_adapter(pixels)


def _run(
    data: PastureDataModule,
    network: Network,
    collector: StatisticsCollector,
    reporter: ProgressReporter,
) -> Tally:
    tally = Tally()
    entries = data.images.entries
    reporter.begin(total=len(entries))
    start = time.perf_counter()
    for batch in data.train_batches():
        for index, reason in batch.failures:
            log.warning("skipped %s: %s", entries[index].path, reason)
        tally.skipped += batch.failures
        counted = len(batch.indices) - len(batch.failures)
        if counted:
            _fold(batch, network, collector)
            tally.num_images += counted
            tally.num_batches += 1
        reporter.advance(len(batch.indices))
    if network.device.type == "cuda":
        torch.cuda.synchronize(network.device)
    tally.seconds = time.perf_counter() - start
    if tally.num_images == 0:
        index, reason = tally.skipped[0]
        raise ImageError(
            f"{entries[index].path}: {reason} None of the {len(entries)} images can be read; "
            "check data.root and the image files."
        )
    return tally


def _fold(batch: ImageBatch, network: Network, collector: StatisticsCollector) -> None:
    collector.begin_batch(batch.indices, batch.valid)
    for layer, tokens in enumerate(network.block_outputs(batch.pixels), start=-1):
        # the generator is suspended inside autocast, which must not reach the statistics
        with torch.autocast(network.device.type, enabled=False):
            collector.observe(layer, tokens)
    collector.commit_batch()


def _assemble(
    plan: ExtractionPlan,
    network: Network,
    tally: Tally,
    statistics: CollectedStatistics,
    run: dict[str, Any],
) -> dict[str, Any]:
    backbone, adapter = network.backbone, network.adapter
    payload: dict[str, Any] = {
        "meta": {
            "project_dir": str(plan.settings.project_dir),
            "config": plan.settings.config,
            "backbone": {
                "backbone_name": plan.settings.backbone_name,
                "dino_weights_pt": str(plan.weights.path.resolve()),
                "head_weights_base": None if plan.heads.base is None else str(plan.heads.base),
                "first_head_path": None if plan.head_path is None else str(plan.head_path),
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
        "layers": _layers(statistics),
    }
    if statistics.extras is not None:
        width, height = run["network_size"]
        payload["extras"] = statistics.extras | {
            "images": {
                "paths": [entry.relative for entry in plan.images.entries],
                "grid": list(backbone.patch_grid(height, width)),
            }
        }
    return payload


def _layers(statistics: CollectedStatistics) -> dict[int, Any]:
    """Return the payload's `layers`: plain dicts, ints and float32 CPU tensors."""
    return {
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
    }
