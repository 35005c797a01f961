"""Which blocks the training head reads, by the training config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PREFIX = "dinov3_"


def choose_tapped(backbone_layers: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the `indices` of `model.backbone_layers` as they stand there, None where disabled.

    `indices` count where there are any, else those that `indices_by_backbone` has for the
    backbone, whose name may lack its prefix `dinov3_`.

    Args:
        backbone_layers: The section.
        names: What the backbone may be called, best first.
    """
    if backbone_layers.get("enabled") is not True:
        return None
    indices = backbone_layers.get("indices")
    by_name = backbone_layers.get("indices_by_backbone")
    if indices or not isinstance(by_name, Mapping):
        return indices
    keys = [key for name in names for key in (name, name.removeprefix(_PREFIX), _PREFIX + name)]
    return next((by_name[key] for key in keys if key in by_name), None)
