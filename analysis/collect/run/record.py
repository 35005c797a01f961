"""From a finished run to its payload, with the record of how the numbers came about.

Everything in `meta` is of plain types; the record is `meta["run"]`.
"""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import torch

from analysis.collect.backbone.adapters import describe_lora_proof
from analysis.collect.images.batches import PastureDataModule
from analysis.collect.plan.request import ExtractionPlan
from analysis.collect.run.devices import device_name
from analysis.collect.run.network import Network
from analysis.collect.run.tally import Tally
from analysis.collect.statistics.collector import CollectedStatistics
from analysis.payload.image_paths import pack_paths
from analysis.vocabulary import SCHEMA_VERSION, TOOL_VERSION

NAMED_SKIPS = 1000
"""Skipped files that the payload names; all are counted."""


def _describe_run(
    plan: ExtractionPlan,
    network: Network,
    data: PastureDataModule,
    tally: Tally,
    statistics: CollectedStatistics,
    proof: list[float] | None,
) -> dict[str, Any]:
    entries, settings, adapter = plan.images.entries, plan.settings, network.adapter
    return {
        "schema_version": SCHEMA_VERSION,
        "tool_version": TOOL_VERSION,
        "torch_version": str(torch.__version__),
        "peft_version": importlib.metadata.version("peft") if adapter.used_lora else None,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config_name": settings.config_path.name,
        "device": str(network.device),
        "device_name": device_name(network.device),
        "precision": network.precision,
        "compiled": network.compiled,
        "image_size": list(settings.image_size),
        "network_size": list(data.network_size),
        "split": plan.images.split,
        "image_sets": [
            {"section": section or "data.train_csv", "images": images}
            for section, images in Counter(entry.section for entry in entries).items()
        ],
        "fold": plan.request.fold,
        "group_by": settings.analysis.get("group_by"),
        "max_images": plan.request.max_images or 0,
        "batch_size": data.batch_size,
        "normalization": {"mean": list(settings.mean), "std": list(settings.std)},
        "dataset_fingerprint": plan.images.fingerprint,
        "request_fingerprint": plan.fingerprint,
        "weights_sha256": network.weights.sha256,
        "weights_format": network.weights.format,
        "weights_key": plan.request.weights_key,
        "adapter_sha256": adapter.sha256 if adapter.used_lora else None,
        "adapter": adapter.summary if adapter.used_lora else None,
        "head_layer_weights": adapter.head_fusion.get("layer_weights"),
        "head_token_norms": adapter.head_fusion.get("token_norms"),
        "heads": [str(path) for path in plan.heads.paths],
        "head_index": plan.request.head_index or 0,
        "skipped_files": [
            {"path": entries[index].relative, "reason": reason}
            for index, reason in tally.skipped[:NAMED_SKIPS]
        ],
        "skipped_count": len(tally.skipped),
        "dropped_missing_target": plan.images.dropped_missing_target,
        "warnings": _collect_warnings(plan, network, data, tally, statistics, proof),
        "nonfinite_tokens": statistics.nonfinite_tokens,
        "lora_proof": proof,
        "seconds": tally.seconds,
        "images_per_second": tally.num_images / tally.seconds,
    }


def _collect_warnings(
    plan: ExtractionPlan,
    network: Network,
    data: PastureDataModule,
    tally: Tally,
    statistics: CollectedStatistics,
    proof: list[float] | None,
) -> list[str]:
    adapter = network.adapter
    warnings = [
        *plan.notices,
        *data.warnings,
        *network.weights.notices,
        *adapter.warnings,
        *tally.notices,
    ]
    if adapter.lora_error:
        warnings.append(f"The adapter was not loaded: {adapter.lora_error}")
    return [*warnings, *describe_outcome(tally, statistics.nonfinite_tokens, proof)]


def describe_outcome(
    tally: Tally, nonfinite_tokens: Sequence[int], proof: list[float] | None
) -> list[str]:
    """Return the warnings that only the end of a run can tell.

    Args:
        tally: What the loop counted, all ranks together.
        nonfinite_tokens: By layer.
        proof: Relative change of each layer by the adapter; None where none was used.
    """
    warnings = []
    if proof is not None and (sentence := describe_lora_proof(proof)):
        warnings.append(sentence)
    if tally.skipped:
        warnings.append(f"{len(tally.skipped)} image(s) could not be read and were skipped.")
    if tally.cut_images:
        warnings.append(
            f"{tally.cut_images} of {tally.num_images} image(s) have 16 bits, 32 bits or floats in "
            "one channel: reading them as RGB with Pillow, as training does, cuts values above "
            "255, so they are nearly all white or all black. Convert them to 8 bits for both."
        )
    if lost := sum(nonfinite_tokens):
        warnings.append(
            f"{lost} token output(s) were NaN or infinite; they were left out of their layer's "
            "statistics."
        )
    return warnings


def build_payload(
    plan: ExtractionPlan,
    network: Network,
    data: PastureDataModule,
    tally: Tally,
    statistics: CollectedStatistics,
    *,
    proof: list[float] | None,
    world_size: int,
) -> dict[str, Any]:
    """Return the payload of a run (`analysis.payload.file` has its structure).

    Args:
        plan: What was asked.
        network: What ran.
        data: What it ran on.
        tally: What the loop counted, all ranks together.
        statistics: What was measured.
        proof: Relative change of each layer by the adapter; None where none was used.
        world_size: Number of ranks.
    """
    run: dict[str, Any] = _describe_run(plan, network, data, tally, statistics, proof) | {
        "world_size": world_size
    }
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
        "layers": statistics.as_layers(),
    }
    if statistics.extras is not None:
        width, height = run["network_size"]
        paths = pack_paths([entry.relative for entry in plan.images.entries])
        payload["extras"] = statistics.extras | {
            "images": {
                "paths": paths if isinstance(paths, list) else torch.from_numpy(paths),
                "grid": list(backbone.patch_grid(height, width)),
            }
        }
    return payload
