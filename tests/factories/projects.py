"""Complete tiny project dirs: config, CSV, photographs, backbone weights and a head with LoRA."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from tests.factories.backbones import make_backbone

BACKBONE = "dinov3_vitt16_demo"
TARGETS = ("Dry_Clover_g", "Dry_Dead_g", "Dry_Green_g")
LORA = {"r": 4, "lora_alpha": 8, "target_modules": ["qkv"]}


def make_project(
    project: Path,
    *,
    images: int = 6,
    size: tuple[int, int] = (64, 32),
    lora: bool = True,
    weights: bool = True,
    version: str | float | None = "v1",
    train_all: bool = True,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Write a project dir that `python -m analysis` extracts from in about a second.

    Args:
        project: Folder to write into; made where missing.
        images: Number of JPEG photographs, twice as wide and high as `size`.
        size: Width and height that the config asks for.
        lora: Whether `weights/head/infer_head.pt` is written, with a LoRA that changes every layer.
        weights: Whether the backbone's weights are written (random, of the demo variant).
        version: As in the config; None leaves it null.
        train_all: As in the config; False leaves the training part of the split.
        changes: Config values by dotted key, set last; None as value removes the key.

    Returns:
        `project`.
    """
    for folder in ("configs", "data/train", "weights", *(["weights/head"] if lora else [])):
        (project / folder).mkdir(parents=True, exist_ok=True)
    names = [f"ID{number:04d}" for number in range(images)]
    for number, name in enumerate(names):
        make_photograph(2 * size[0], 2 * size[1], seed=number).save(
            project / "data" / "train" / f"{name}.jpg", quality=90
        )
    write_csv(project / "data" / "train.csv", names)
    config: dict[str, Any] = {
        "seed": 42,
        "version": version,
        "data": {
            "root": "data",
            "train_csv": "train.csv",
            "image_size": list(size),
            "val_split": 0.2,
            "target_order": list(TARGETS),
        },
        "model": {"backbone": BACKBONE, "backbone_layers": {"enabled": True, "indices": [5, 11]}},
        "peft": {"enabled": lora, **LORA},
        "train_all": {"enabled": train_all},
        "logging": {"log_dir": "outputs"},
    }
    for key, value in (changes or {}).items():
        set_key(config, key, value)
    write_config(project, config)
    if weights:
        (project / "weights" / f"{BACKBONE}_random.pth").write_bytes(_weights())
    if lora:
        (project / "weights" / "head" / "infer_head.pt").write_bytes(_head())
    return project


def write_config(project: Path, config: Mapping[str, Any], name: str = "train.yaml") -> Path:
    """Write `configs/<name>` and return its path."""
    path = project / "configs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(config), sort_keys=False))
    return path


def set_key(config: dict[str, Any], dotted: str, value: Any) -> None:
    """Set a dotted key in place, or remove it where the value is None."""
    *parents, key = dotted.split(".")
    section = config
    for parent in parents:
        section = section.setdefault(parent, {})
    if value is None:
        section.pop(key, None)
    else:
        section[key] = value


def write_csv(path: Path, names: list[str]) -> None:
    """Write the CSIRO long format: one row per image and target."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sample_id", "image_path", "target_name", "target"])
        for number, name in enumerate(names):
            for target in TARGETS:
                writer.writerow([f"{name}__{target}", f"train/{name}.jpg", target, number + 0.5])


def make_photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """Draw a picture with soft shapes, sharp edges and noise; the same seed draws the same one."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    soft = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.array(soft).astype(np.int16) + rng.integers(-30, 31, (height, width, 3))
    pixels[: height // 3, : width // 4] = (250, 10, 120)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@functools.cache
def _weights() -> bytes:
    state = make_backbone(BACKBONE, seed=7).state_dict()
    file = io.BytesIO()
    torch.save({name: tensor.half() for name, tensor in state.items()}, file)
    return file.getvalue()


@functools.cache
def _head() -> bytes:
    # peft takes seconds to import: only tests that need a head pay for it.
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

    backbone = make_backbone(BACKBONE, seed=7)
    config = LoraConfig(lora_dropout=0.0, bias="none", **LORA)
    adapted = get_peft_model(backbone, config)
    generator = torch.Generator().manual_seed(11)
    adapter = {
        name: torch.empty_like(tensor).normal_(std=0.1, generator=generator)
        for name, tensor in get_peft_model_state_dict(adapted).items()
    }
    contents = {
        "state_dict": {"weight": torch.zeros(len(TARGETS), 192), "bias": torch.zeros(len(TARGETS))},
        "meta": {"backbone": BACKBONE, "embedding_dim": 192, "target_order": list(TARGETS)},
        "peft": {"config": adapted.peft_config["default"].to_dict(), "state_dict": adapter},
    }
    file = io.BytesIO()
    torch.save(contents, file)
    return file.getvalue()
