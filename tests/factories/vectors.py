"""Vectors of single images whose target is linear in one layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis.payload.features import STORED, features_path
from analysis.payload.image_vectors import ImageVectors, write_features
from analysis.payload.table import build_table
from analysis.vocabulary import Cell
from tests.factories.payloads import make_payload, write_payload

IMAGES, CHANNELS, LAYER = 60, 16, 1


def write_with_vectors(
    path: Path,
    *,
    version: str = "v1",
    moved: int | None = None,
    left_out: int = 0,
    shifted: int | None = None,
) -> None:
    """Write a payload and its vectors; `Mass` is linear in the mean patch of `LAYER`.

    Args:
        path: Of the payload.
        version: Its version.
        moved: Image whose vectors are others than without it; none where None.
        left_out: How many of the first images are not kept.
        shifted: Channel that lies one std higher, give or take, in all images; none where None.
    """
    payload = make_payload(layers=3, channels=CHANNELS, version=version)
    write_payload(path, payload)
    table, rng = build_table(payload), np.random.default_rng(0)
    values = np.empty((IMAGES, 3, 3, CHANNELS), np.float32)
    for layer in range(3):
        for place, (role, representation) in enumerate(STORED):
            mean, std, _ = table[Cell(layer, representation, role)]
            values[:, layer, place] = mean + std * rng.standard_normal((IMAGES, CHANNELS))
    if shifted is not None:
        own = 1 + 0.1 * rng.standard_normal((IMAGES, 1, 1))
        values[..., shifted] += own * values[..., shifted].std(axis=0)
    if moved is not None:
        values[moved] += 9 * values.std(axis=0)
    deviation = (values[:, LAYER, 1] - values[:, LAYER, 1].mean(0)) / values[:, LAYER, 1].std(0)
    kept = np.arange(left_out, IMAGES)
    vectors = ImageVectors(
        kept,
        values[kept],
        [f"{n}.jpg" for n in kept],
        {"Mass": deviation.sum(1)[kept].tolist(), "Noise": rng.standard_normal(len(kept)).tolist()},
        {"State": [f"s{n % 6}" for n in kept]},
        {"gamma": np.ones(CHANNELS, np.float32), "beta": np.zeros(CHANNELS, np.float32)},
    )
    write_features(vectors, table, features_path(path))
