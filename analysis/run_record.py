"""How the numbers of a payload came about: `meta["run"]`, plain types only."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import torch

from analysis import __version__
from analysis.backbone.adapters import describe_lora_proof
from analysis.devices import device_name
from analysis.images import PastureDataModule
from analysis.network import Network
from analysis.request import ExtractionPlan
from analysis.statistics.collector import CollectedStatistics
from analysis.vocabulary import SCHEMA_VERSION

NAMED_SKIPS = 1000
"""Skipped files that the payload names; all are counted."""


@dataclass
class Tally:
    """What the forward loop counted besides the statistics."""

    num_images: int = 0
    num_batches: int = 0
    skipped: list[tuple[int, str]] = field(default_factory=list)
    """Image index and reason of every image that could not be read."""
    next_batch: int = 0
    """Number of the first batch not yet counted."""
    seconds: float = 0.0
    notices: list[str] = field(default_factory=list)
    """Sentences on what the loop had to do differently than asked."""


def merge_tallies(tallies: Sequence[Tally]) -> Tally:
    """Return what all ranks counted together; they ran side by side, so the longest counts."""
    return Tally(
        num_images=sum(tally.num_images for tally in tallies),
        num_batches=sum(tally.num_batches for tally in tallies),
        skipped=sorted(item for tally in tallies for item in tally.skipped),
        next_batch=max(tally.next_batch for tally in tallies),
        seconds=max(tally.seconds for tally in tallies),
        notices=[notice for tally in tallies for notice in tally.notices],
    )


def describe_run(
    plan: ExtractionPlan,
    network: Network,
    data: PastureDataModule,
    tally: Tally,
    statistics: CollectedStatistics,
    proof: list[float] | None,
    world_size: int,
) -> dict[str, Any]:
    """Return `meta["run"]`; `proof` is None where no adapter was used."""
    entries, settings, adapter = plan.images.entries, plan.settings, network.adapter
    return {
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
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
        "max_images": plan.request.max_images or 0,
        "batch_size": data.batch_size,
        "world_size": world_size,
        "normalization": {"mean": list(settings.mean), "std": list(settings.std)},
        "dataset_fingerprint": plan.images.fingerprint,
        "request_fingerprint": plan.fingerprint,
        "weights_sha256": network.weights.sha256,
        "weights_format": network.weights.format,
        "adapter_sha256": adapter.sha256 if adapter.used_lora else None,
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
    if proof is not None and (sentence := describe_lora_proof(proof)):
        warnings.append(sentence)
    if tally.skipped:
        warnings.append(f"{len(tally.skipped)} image(s) could not be read and were skipped.")
    if lost := sum(statistics.nonfinite_tokens):
        warnings.append(
            f"{lost} token output(s) were NaN or infinite; they were left out of their layer's "
            "statistics."
        )
    return warnings
