"""Vectors of single images as a run measured them, and how they are written beside its payload.

`analysis.payload.features` says what the file holds, and reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from analysis.errors import ConfigError
from analysis.files.atomic import keep_backup, replace_file
from analysis.files.writing import make_folder, remove_file
from analysis.payload.features import (
    SCHEMA_VERSION,
    STORED,
    UNITS,
    features_path,
    fingerprint_statistics,
)
from analysis.payload.table import StatsTable, build_table
from analysis.vocabulary import Cell, Representation, TokenRole

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ImageVectors:
    """Vectors of the kept images, as a run measured them."""

    images: NDArray[np.int64]
    """``[images]``: position of each in the image list, ascending."""
    values: Floats
    """``[images, layers, 3, channels]``, in the order of `STORED`; NaN where not measured."""
    paths: Sequence[str]
    """Relative path of each image."""
    targets: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Numeric columns by name, one value per image, NaN where there is none."""
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Text columns by name, one value per image, empty where there is none."""
    norm: Mapping[str, Floats] = field(default_factory=dict)
    """gamma, beta and, where CLS has a norm of its own, cls_gamma and cls_beta, ``[channels]``."""


def write_features(
    vectors: ImageVectors, table: StatsTable, path: Path, *, backup: bool = False
) -> None:
    """Write the file, complete or not at all.

    Args:
        vectors: What to write.
        table: Statistics of the payload that they belong to.
        path: As `features_path` names it.
        backup: Whether what stood there is kept as `<name>.bak`.

    Raises:
        OSError: If it cannot be written.
    """
    tensors: dict[str, NDArray[Any]] = {"images": vectors.images.astype(np.int64)}
    for place, (role, representation) in enumerate(STORED):
        tensors[f"{role}.{representation}"] = _standardize(
            vectors.values[:, :, place], table, role, representation
        )
    tensors |= {f"norm.{key}": np.asarray(value, np.float32) for key, value in vectors.norm.items()}
    if vectors.targets:
        tensors["targets"] = np.array(list(vectors.targets.values()), np.float64)
    labels = {name: sorted(set(texts) - {""}) for name, texts in vectors.categories.items()}
    if labels:
        codes = [
            [labels[name].index(text) if text else -1 for text in texts]
            for name, texts in vectors.categories.items()
        ]
        tensors["categories"] = np.array(codes, np.int32)
    metadata = {
        "format": "dinov3-image-features",
        "schema_version": SCHEMA_VERSION,
        "units": UNITS,
        "payload": fingerprint_statistics(table),
        "paths": json.dumps(list(vectors.paths)),
        "targets": json.dumps(list(vectors.targets)),
        "categories": json.dumps(labels),
    }
    make_folder(path.parent)
    with replace_file(path, backup=backup) as file:
        file.write(save(tensors, metadata))


def _standardize(
    values: Floats, table: StatsTable, role: TokenRole, representation: Representation
) -> NDArray[np.float16]:
    """Return ``[layers, images, channels]`` of ``[images, layers, channels]`` in channel stds.

    In float32, whose rounding is a thousandth of float16's: a difference of two close float32 is
    exact.
    """
    limit = np.float32(np.finfo(np.float16).max)
    stored = np.empty((values.shape[1], values.shape[0], values.shape[2]), np.float16)

    def fill(index: int, layer: int) -> None:
        mean, std, _ = table[Cell(layer, representation, role)]
        # A constant channel has std 0 and no deviation.
        deviation = (values[:, index] - mean) / np.where(std > 0, std, np.float32(np.inf))
        stored[index] = np.clip(deviation, -limit, limit, out=deviation)

    with ThreadPoolExecutor() as pool:
        list(pool.map(fill, *zip(*enumerate(table.layers.tolist()), strict=True)))
    return stored


def save_features(
    vectors: ImageVectors | None, payload: Mapping[str, Any], output: Path, *, backup: bool = False
) -> None:
    """Write the vectors beside a payload that is about to be written; without any, remove old ones.

    Args:
        vectors: What was kept, or None.
        payload: The payload of the same run.
        output: Where it goes.
        backup: Whether what stood there is kept as `<name>.bak`.

    Raises:
        ConfigError: If the file cannot be written.
    """
    path = features_path(output)
    try:
        if vectors is not None:
            write_features(vectors, build_table(payload), path, backup=backup)
        else:
            if backup:
                keep_backup(path)
            remove_file(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written ({error.strerror or error}). "
            "Choose another --output, make room, or use --image-features 0."
        ) from error
