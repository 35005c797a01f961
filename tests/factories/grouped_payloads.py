"""Two payloads of one network on the same images, with statistics by image group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from analysis.payload.groups import GroupStats
from tests.factories.image_groups import draw_paired
from tests.factories.payloads import make_payload

Payload = dict[str, Any]


def make_grouped_pair(
    *,
    layers: int = 3,
    channels: int = 60,
    images: int = 48,
    shifted: Sequence[int] = (5,),
    shift: float = 0.5,
    names: tuple[str, str] = ("first", "second"),
    seed: int = 0,
    **changes: Any,
) -> tuple[Payload, Payload]:
    """Return two payloads that differ in some channels of the last layer's patch tokens only.

    Args:
        layers: Number of blocks.
        channels: Number of channels.
        images: Number of images.
        shifted: Channels whose mean differs, in all representations.
        shift: By how much, in units of the channel's std; noise moves a mean by 0.1 / sqrt(images).
        names: The versions.
        seed: Of the numbers.
        **changes: For `make_payload`.
    """
    rng = np.random.default_rng(seed)
    common = {"layers": layers, "channels": channels, "images": images, **changes}
    pair = tuple(make_payload(version=name, **common) for name in names)
    norm = {"gamma": rng.uniform(0.5, 1.5, channels), "beta": rng.normal(0, 0.1, channels)}
    for payload in pair:
        payload["extras"] = {
            "layers": {layer: {"groups": {}} for layer in range(layers)},
            "norm": {key: torch.tensor(value, dtype=torch.float32) for key, value in norm.items()},
        }
    for layer in range(layers):
        for representation in ("pre", "per_layer_ln"):
            for role in ("cls", "patch"):
                planted = np.zeros(channels)
                if layer == layers - 1 and role == "patch":
                    planted[list(shifted)] = shift
                groups = draw_paired(rng, images, channels, 0.3, shift=planted)
                for payload, drawn in zip(pair, groups, strict=True):
                    _put(payload, layer, representation, role, drawn, norm)
    return pair[0], pair[1]


def _put(
    payload: Payload, layer: int, representation: str, role: str, groups: GroupStats, norm: Any
) -> None:
    stored = payload["extras"]["layers"][layer]["groups"].setdefault(representation, {})
    stored[role] = {
        "count": torch.tensor(groups.count),
        "mean": torch.tensor(groups.mean, dtype=torch.float32),
        "std": torch.tensor(groups.std, dtype=torch.float32),
    }
    views = {representation: groups}
    if representation == "per_layer_ln":
        views["global_ln"] = groups.affine(norm["gamma"], norm["beta"])
    for name, view in views.items():
        mean, std = view.pool()
        payload["layers"][layer][name][role] = {
            "count": int(groups.count.sum()),
            "mean": torch.tensor(mean, dtype=torch.float32),
            "std": torch.tensor(std, dtype=torch.float32),
            "max_abs": torch.tensor(np.abs(mean) + 4 * std, dtype=torch.float32),
        }
