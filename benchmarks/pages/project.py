"""A project dir with payloads of any size, extras and photographs included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from analysis.payload.discovery import discover_payloads
from tests.factories.payloads import make_payload, write_payload

IMAGES = 16
OUTLIERS = 12
PICTURE = (1000, 500)
"""Pixels of a photograph."""


def make_project(folder: Path, layers: int, channels: int, versions: int) -> list[str]:
    """Write payloads of several versions and the pictures they name; return the versions' keys.

    Args:
        folder: The project dir, made where missing.
        layers: Number of blocks.
        channels: Number of channels.
        versions: How many payloads; each drifts further from the first.
    """
    rng = np.random.default_rng(0)
    sizes = rng.choice(channels, OUTLIERS, replace=False)
    for number in range(versions):
        grown = 1 + 0.3 * number
        payload = make_payload(
            layers=layers,
            channels=channels,
            images=IMAGES,
            outliers={int(c): grown * 400.0 / (1 + i) for i, c in enumerate(sizes)},
            drift=float(number),
            version=f"7b-{number + 1}",
            tapped=range(layers // 4 - 1, layers, layers // 4),
            extras=True,
            seed=number,
        )
        payload["meta"]["project_dir"] = str(folder)
        write_payload(
            folder / f"outputs/7b-{number + 1}/feature_stats/dinov3_feature_stats.pt", payload
        )
    (folder / "data").mkdir(exist_ok=True)
    for number in range(IMAGES):
        small = rng.integers(0, 255, (8, 16, 3), dtype=np.uint8)
        Image.fromarray(small).resize(PICTURE).save(folder / f"data/{number}.jpg")
    return [ref.key for ref in sorted(discover_payloads([folder]), key=lambda ref: ref.path)]
