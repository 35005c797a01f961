"""Run the backbone once over the images and collect the statistics of every block output.

    images -> backbone -> collector -> payload

Block outputs are consumed one by one as the forward pass makes them; nothing but the running
moments is kept, and nothing is copied to the host before the last batch. Under `torchrun` every
rank measures its own batches and the first one merges them.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import torch

from analysis.backbone.vit import DinoVisionTransformer
from analysis.checkpoint import Checkpoint
from analysis.devices import choose_batch_size, choose_device
from analysis.errors import ImageError
from analysis.fold import BatchFolder
from analysis.images import PastureDataModule
from analysis.network import Network, load_network
from analysis.progress import ProgressReporter
from analysis.ranks import Ranks
from analysis.request import ExtractionPlan
from analysis.run_record import Tally, describe_run, merge_tallies
from analysis.statistics.collector import CollectedStatistics, StatisticsCollector
from analysis.vocabulary import SCHEMA_VERSION

PROOF_IMAGES = 8
"""Images on which the adapter's effect is measured."""

log = logging.getLogger("analysis")


@torch.inference_mode()
def collect_payload(
    plan: ExtractionPlan, reporter: ProgressReporter, ranks: Ranks | None = None
) -> dict[str, Any] | None:
    """Run one extraction and return its payload (CPU tensors and plain types).

    Args:
        plan: What to run.
        reporter: Told about every step.
        ranks: Which process this is; a lone one by default. All but the first return None.

    Raises:
        InputError: If the device, the weights, the images or (with ``strict``) a single image
            cannot be used. A broken adapter is not an error: the frozen backbone is measured, and
            the payload and the log say so.
    """
    ranks = ranks or Ranks()
    for notice in plan.notices:
        log.warning("%s", notice)
    reporter.say("preparing", "loading the backbone")
    network = load_network(plan, choose_device(plan.request.device or "auto", ranks.local_rank))
    data = _open_images(plan, network)
    proof = _prove_adapter(data, network, reporter) if ranks.is_first else None
    collector = _new_collector(plan, network.backbone, network.device)
    checkpoint = Checkpoint(
        plan.output,
        _identify(plan, network, data),
        ranks,
        every=30.0 if plan.request.checkpoint_every is None else plan.request.checkpoint_every,
    )
    tally = _run(plan, data, network, collector, checkpoint, reporter, ranks)
    reporter.say("saving", "finishing the statistics")
    gathered = ranks.gather((collector.state_dict(), tally))
    if gathered is None:
        return None
    for state, _ in gathered[1:]:
        other = _new_collector(plan, network.backbone, network.device)
        other.load_state_dict(state)
        collector.merge(other)
    tally = merge_tallies([tally for _, tally in gathered])
    if tally.num_images == 0:
        index, reason = tally.skipped[0]
        raise ImageError(
            f"{plan.images.entries[index].path}: {reason}. None of the {len(tally.skipped)} "
            "images can be read; check data.root and the image files."
        )
    statistics = collector.finalize(network.norm_parameters())
    run = describe_run(plan, network, data, tally, statistics, proof, ranks.world_size)
    return _assemble(plan, network, tally, statistics, run)


def _open_images(plan: ExtractionPlan, network: Network) -> PastureDataModule:
    width, height = plan.settings.image_size
    rows, columns = network.backbone.patch_grid(height, width)
    tokens = network.backbone.n_prefix_tokens + rows * columns
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


def _new_collector(
    plan: ExtractionPlan, backbone: DinoVisionTransformer, device: torch.device
) -> StatisticsCollector:
    return StatisticsCollector(
        backbone.depth,
        backbone.embed_dim,
        backbone.n_storage_tokens,
        device,
        extras=plan.request.extras,
    )


def _identify(plan: ExtractionPlan, network: Network, data: PastureDataModule) -> dict[str, Any]:
    """Return what must be equal for an interrupted run to be continued."""
    return {
        "schema_version": SCHEMA_VERSION,
        "backbone": plan.settings.backbone_name,
        "weights_sha256": network.weights.sha256,
        "adapter_sha256": network.adapter.sha256 if network.adapter.used_lora else None,
        "images": plan.images.fingerprint,
        "image_size": list(plan.settings.image_size),
        "normalization": [list(plan.settings.mean), list(plan.settings.std)],
        "precision": network.precision,
        "batch_size": data.batch_size,
        "extras": plan.request.extras,
    }


def _run(
    plan: ExtractionPlan,
    data: PastureDataModule,
    network: Network,
    collector: StatisticsCollector,
    checkpoint: Checkpoint,
    reporter: ProgressReporter,
    ranks: Ranks,
) -> Tally:
    entries = plan.images.entries
    tally = (checkpoint.resume(collector) if plan.request.resume else None) or Tally()
    seen = tally.num_images + len(tally.skipped)
    if seen:
        log.info("resuming after %d images", seen)
    share = data.count_images(ranks.rank, ranks.world_size)
    folder = BatchFolder(network, collector, plan.request.compile or "auto")
    reporter.begin(total=share, done=seen)
    start = time.perf_counter()
    spent_before = tally.seconds
    for batch in data.train_batches(tally.next_batch, ranks.rank, ranks.world_size):
        for index, reason in batch.failures:
            log.warning("skipped %s: %s", entries[index].path, reason)
        counted = len(batch.indices) - len(batch.failures)
        if counted:
            folder.fold(batch, images_left=share - reporter.progress.done)
            tally.num_images += counted
            tally.num_batches += 1
        tally.skipped += batch.failures
        tally.next_batch = int(batch.indices[-1]) // data.batch_size + 1
        tally.seconds = spent_before + time.perf_counter() - start
        reporter.advance(len(batch.indices))
        checkpoint.save_if_due(collector, tally)
    if network.device.type == "cuda":
        torch.cuda.synchronize(network.device)
    tally.seconds = spent_before + time.perf_counter() - start
    tally.notices += folder.notices
    return tally


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
