"""Payloads as the specification describes them, measured on made-up tokens.

The tokens are real arrays (a residual stream that grows with depth, a few channels of it far
above the others), so every law that holds for a real payload holds for these too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.payload.table import StatsTable, build_table
from tests.factories.extras import measure_layer

EPS = 1e-5
STORAGE = 4
GRID = (2, 4)
"""Patch rows and columns: the network sees 64 × 32 pixels."""


def make_payload(
    *,
    layers: int = 4,
    channels: int = 48,
    images: int = 6,
    outliers: Mapping[int, float] | None = None,
    drift: float = 0.0,
    version: str | None = "demo-lora",
    train_all: bool = False,
    backbone: str = "dinov3_vitt16_demo",
    used_lora: bool = True,
    lora_error: str | None = None,
    tapped: Sequence[int] = (1, 3),
    recorded: bool = True,
    extras: bool = False,
    seed: int = 0,
    **run: Any,
) -> dict[str, Any]:
    """Return a payload; keys of `meta["run"]` can be replaced by name.

    Args:
        layers: Number of blocks.
        channels: Number of channels.
        images: Number of images; their token counts follow.
        outliers: Size that a channel reaches at the last layer, by channel; two by default.
        drift: Shift of channel 0 at the last layer, in its standard deviations, growing with depth.
        version: The config's version.
        train_all: The config's `train_all.enabled`.
        backbone: Its name.
        used_lora: Whether the adapter counts as loaded.
        lora_error: Why it could not be.
        tapped: The config's `model.backbone_layers.indices`.
        recorded: Whether there is a `meta["run"]`; older tools wrote none.
        extras: Whether there are `extras`, with four storage tokens.
        seed: Of the tokens.
        **run: Replaces entries of `meta["run"]`.
    """
    if outliers is None:
        outliers = {channels // 2: 300.0, channels - 1: 60.0} if channels > 2 else {}
    rng = np.random.default_rng(seed)
    gamma, beta = rng.uniform(0.2, 1.5, channels), rng.normal(0, 0.1, channels)
    tokens = rng.normal(0, 0.3, (images, 1 + GRID[0] * GRID[1], channels))
    tokens[:, 0] = tokens[0, 0]  # no block has mixed CLS with the patches of its image yet
    embedding = _measure(tokens)
    cells: dict[int, Any] = {}
    extra_cells: dict[int, Any] = {}
    storage = np.random.default_rng([seed, 1]).normal(0, 3.0, (images, STORAGE, channels))
    for layer in range(layers):
        tokens = tokens + rng.normal(0, 0.4, tokens.shape) + rng.normal(0, 0.1, channels)
        shown = tokens.copy()
        share = (layer + 1) / layers
        for channel, size in outliers.items():
            shown[..., channel] += size * share
        shown[..., 0] += drift * share * shown[..., 0].std()
        normed = _normalize(shown)
        views = {"pre": shown, "per_layer_ln": normed, "global_ln": normed * gamma + beta}
        cells[layer] = {name: _measure(view) for name, view in views.items()}
        if extras:
            registers = {"pre": storage * (1 + share), "per_layer_ln": _normalize(storage)}
            extra_cells[layer] = measure_layer({n: views[n] for n in registers}, registers, GRID)
    config = {
        "version": version,
        "model": {
            "backbone": backbone,
            "backbone_layers": {"enabled": True, "indices": list(tapped)},
        },
        "peft": {"enabled": used_lora, "r": 8},
        "train_all": {"enabled": train_all},
        "data": {"root": "data", "image_size": [64, 32]},
        "logging": {"log_dir": "outputs"},
    }
    meta: dict[str, Any] = {
        "project_dir": "/project",
        "config": config,
        "backbone": {
            "backbone_name": backbone,
            "dino_weights_pt": f"/project/weights/{backbone}.pt",
            "head_weights_base": "/project/weights/head" if used_lora else None,
            "first_head_path": "/project/weights/head/infer_head.pt" if used_lora else None,
            "used_lora": used_lora,
            "lora_error": lora_error,
        },
        "counts": {
            "num_images": images,
            "num_batches": images,
            "num_layers": layers,
            "embedding_dim": channels,
            "n_storage_tokens": 4,
        },
    }
    if recorded:
        meta["run"] = _make_run(layers, str(version) if used_lora else None) | run
    payload = {"meta": meta, "layers": cells}
    if extras:
        norm = {"gamma": gamma, "beta": beta}
        payload["extras"] = {
            "layers": extra_cells,
            "norm": {k: torch.tensor(v, dtype=torch.float32) for k, v in norm.items()},
            "embedding": embedding,
            "images": {"paths": [f"{i}.jpg" for i in range(images)], "grid": list(GRID)},
        }
    return payload


def make_table(**changes: Any) -> StatsTable:
    """Return a payload of `make_payload` as a table, without a file."""
    return build_table(make_payload(**changes))


def make_flat_table(values: NDArray[np.floating[Any]], **meta: Any) -> StatsTable:
    """Return a table that holds just these numbers, ``[layers, 3, 2, 3, channels]``."""
    layers = values.shape[0]
    return StatsTable(
        values=values.astype(np.float32),
        counts=np.full((layers, 2), 10, dtype=np.int64),
        layers=np.arange(layers, dtype=np.int64),
        meta=meta,
    )


def write_payload(path: Path, payload: Mapping[str, Any], *, sidecar: bool = True) -> Path:
    """Write a payload and the JSON beside it, as another program would; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(payload), path)
    if sidecar:
        path.with_suffix(".json").write_text(json.dumps(make_sidecar(payload, path)))
    return path


def make_sidecar(payload: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the facts that stand in the JSON beside a payload."""
    meta = payload["meta"]
    config, backbone, counts, run = (
        meta["config"],
        meta["backbone"],
        meta["counts"],
        meta.get("run", {}),
    )
    copied = {
        key: run[key]
        for key in (
            "created",
            "device",
            "device_name",
            "precision",
            "image_size",
            "split",
            "images_per_second",
            "seconds",
            "weights_sha256",
            "adapter_sha256",
            "dataset_fingerprint",
            "request_fingerprint",
        )
        if key in run
    }
    return {
        "schema_version": 1,
        "version": config["version"],
        "train_all": config["train_all"]["enabled"],
        "config_name": "train.yaml",
        "backbone": backbone["backbone_name"],
        "used_lora": backbone["used_lora"],
        "lora_error": backbone["lora_error"],
        "num_images": counts["num_images"],
        "num_layers": counts["num_layers"],
        "embedding_dim": counts["embedding_dim"],
        "warnings": len(run.get("warnings", [])),
        "size": path.stat().st_size,
        "mtime_ns": path.stat().st_mtime_ns,
        **copied,
    }


def _normalize(tokens: NDArray[np.float64]) -> NDArray[np.float64]:
    centered = tokens - tokens.mean(-1, keepdims=True)
    return centered / np.sqrt(tokens.var(-1, keepdims=True) + EPS)


def _measure(tokens: NDArray[np.float64]) -> dict[str, Any]:
    parts = {"cls": tokens[:, 0], "patch": tokens[:, 1:].reshape(-1, tokens.shape[-1])}
    return {
        role: {
            "count": len(part),
            "mean": torch.tensor(part.mean(0), dtype=torch.float32),
            "std": torch.tensor(part.std(0), dtype=torch.float32),
            "max_abs": torch.tensor(np.abs(part).max(0), dtype=torch.float32),
        }
        for role, part in parts.items()
    }


def _make_run(layers: int, adapter: str | None) -> dict[str, Any]:
    used_lora = adapter is not None
    return {
        "schema_version": 1,
        "tool_version": "0.1.0",
        "torch_version": str(torch.__version__),
        "peft_version": "0.21.0",
        "created": datetime(2026, 11, 20, 14, 3, tzinfo=UTC).isoformat(),
        "device": "cpu",
        "device_name": "CPU",
        "precision": "fp32",
        "image_size": [64, 32],
        "network_size": [64, 32],
        "split": "train",
        "max_images": 0,
        "batch_size": 4,
        "world_size": 1,
        "normalization": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        "dataset_fingerprint": "d" * 64,
        "request_fingerprint": "r" * 64,
        "weights_sha256": "a" * 64,
        "weights_format": "official",
        "adapter_sha256": hashlib.sha256(adapter.encode()).hexdigest() if adapter else None,
        "heads": ["/project/weights/head/infer_head.pt"] if used_lora else [],
        "head_index": 0,
        "skipped_files": [],
        "skipped_count": 0,
        "dropped_missing_target": 0,
        "warnings": [],
        "nonfinite_tokens": [0] * layers,
        "lora_proof": [0.01 * (layer + 1) for layer in range(layers)] if used_lora else None,
        "seconds": 1.5,
        "images_per_second": 4.0,
    }
