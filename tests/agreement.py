"""How far two payloads are apart, in the measure that DESIGN promises bounds for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch


def _cells(payload: Mapping[str, Any]) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    for layer, representations in payload["layers"].items():
        for representation, roles in representations.items():
            for role, cell in roles.items():
                yield (layer, representation, role), cell


def largest_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return the largest |Δmean| / rms, |Δstd| / std, |Δmax| / max; counts must be equal."""
    cells = dict(_cells(other))
    worst = 0.0
    for key, cell in _cells(one):
        partner = cells.pop(key)
        assert cell["count"] == partner["count"], key
        mean, std, peak = (cell[name].double() for name in ("mean", "std", "max_abs"))
        rms = (mean**2 + std**2).sqrt()
        for name, scale in (("mean", rms), ("std", std), ("max_abs", peak)):
            distance = (cell[name].double() - partner[name].double()).abs()
            worst = max(worst, float(torch.where(distance > 0, distance / scale, 0).max()))
    assert not cells
    return worst


def load(path: Path) -> dict[str, Any]:
    """Read a payload as any user would."""
    return torch.load(path, weights_only=True)
