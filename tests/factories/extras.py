"""The `extras` of a payload, measured on the tokens that its `layers` are measured on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.payload.extras import NORM_EDGES, ExtraTable, build_extras
from analysis.payload.extras_arrays import build_parts

Floats = NDArray[np.float64]
LEVELS = (6.0, 20.0, 100.0)
IMAGE_GROUPS = 8
"""As in payloads of the first versions: image index modulo this number."""
FOOTPRINT_CHANNELS = 8


def make_extra_table(payload: Mapping[str, Any]) -> ExtraTable:
    """Return a payload's extras as a table, without a file."""
    return build_extras(*build_parts(payload))


def measure_layer(
    views: Mapping[str, Floats], storage: Mapping[str, Floats], grid: tuple[int, int]
) -> dict[str, Any]:
    """Return one layer's entry of ``extras["layers"]``.

    Args:
        views: ``[images, 1 + patches, channels]`` of pre and per_layer_ln; CLS first.
        storage: ``[images, storage tokens, channels]`` likewise; may be empty.
        grid: Patch rows and columns.
    """
    roles = {
        name: {"cls": tokens[:, :1], "patch": tokens[:, 1:]}
        | {f"storage_{i}": storage[name][:, i : i + 1] for i in range(storage[name].shape[1])}
        for name, tokens in views.items()
    }
    every = np.concatenate([views["pre"], storage["pre"]], axis=1)
    return {
        "range": {
            name: {role: _range(tokens) for role, tokens in parts.items()}
            for name, parts in roles.items()
        },
        "argmax": {role: _argmax(role, tokens) for role, tokens in roles["pre"].items()},
        "exceed": {
            role: torch.tensor(np.stack([(np.abs(tokens) > x).sum((0, 1)) for x in LEVELS]))
            for role, tokens in roles["pre"].items()
        },
        "norm_hist": {
            name: {role: _norm_hist(tokens) for role, tokens in parts.items()}
            for name, parts in roles.items()
        },
        "top": _float32(_top(every)),
        "image_means": {
            name: {role: _image_means(parts[role]) for role in ("cls", "patch")}
            for name, parts in roles.items()
        },
        "groups": {
            name: {role: _groups(parts[role]) for role in ("cls", "patch")}
            for name, parts in roles.items()
        },
        "storage": {
            role: {name: _moments(parts[role]) for name, parts in roles.items()}
            for role in roles["pre"]
            if role.startswith("storage")
        },
        "footprint": _footprint(roles["pre"]["patch"], grid),
    }


def _footprint(patches: Floats, grid: tuple[int, int]) -> dict[str, Any]:
    sizes = np.abs(patches)
    channels = np.argsort(-sizes.max((0, 1)), kind="stable")[:FOOTPRINT_CHANNELS]
    maps = sizes.mean(0)[:, channels].T.reshape(-1, *grid)
    return {"channels": torch.tensor(channels, dtype=torch.int32), "mean_abs": _float32(maps)}


def _range(tokens: Floats) -> dict[str, Any]:
    return {"min": _float32(tokens.min((0, 1))), "max": _float32(tokens.max((0, 1)))}


def _argmax(role: str, tokens: Floats) -> torch.Tensor:
    flat = np.abs(tokens).reshape(-1, tokens.shape[-1]).argmax(0)
    image, patch = np.divmod(flat, tokens.shape[1])
    patch = patch if role == "patch" else np.full_like(patch, -1)
    return torch.tensor(np.stack([image, patch], axis=1), dtype=torch.int32)


def _norm_hist(tokens: Floats) -> torch.Tensor:
    bins = np.searchsorted(NORM_EDGES, np.linalg.norm(tokens, axis=-1).ravel(), side="right")
    return torch.tensor(np.bincount(bins, minlength=len(NORM_EDGES) + 1))


def _top(tokens: Floats) -> Floats:
    sizes = np.sort(np.abs(tokens).reshape(len(tokens), -1), axis=1)
    largest = [sizes[:, -min(i, sizes.shape[1])].mean() for i in (1, 2, 3)]
    return np.array([*largest, np.median(sizes, axis=1).mean()])


def _image_means(tokens: Floats) -> torch.Tensor:
    return _float32(((tokens.mean(1) - tokens.mean((0, 1))) ** 2).sum(0))


def _groups(tokens: Floats) -> dict[str, Any]:
    channels = tokens.shape[-1]
    count = np.zeros(IMAGE_GROUPS, dtype=np.int64)
    mean, std = np.full((2, IMAGE_GROUPS, channels), np.nan)
    for group in range(min(IMAGE_GROUPS, len(tokens))):
        part = tokens[group::IMAGE_GROUPS].reshape(-1, channels)
        count[group], mean[group], std[group] = len(part), part.mean(0), part.std(0)
    return {"count": torch.tensor(count), "mean": _float32(mean), "std": _float32(std)}


def _moments(tokens: Floats) -> dict[str, Any]:
    part = tokens.reshape(-1, tokens.shape[-1])
    return {
        "count": len(part),
        "mean": _float32(part.mean(0)),
        "std": _float32(part.std(0)),
        "max_abs": _float32(np.abs(part).max(0)),
    }


def _float32(values: Floats) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)
