"""Accumulators to the measured part of the payload's ``extras``.

Every tensor is a copy of its own: a slice would drag the memory of all layers into the file.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from analysis.collect.statistics.norm import NormParameters
from analysis.collect.statistics.view import MEASURED, StateView

GROUPED_ROLES = ("cls", "patch")


def build_extras(view: StateView, norm: NormParameters, grid: tuple[int, int]) -> dict[str, Any]:
    """Return ``layers``, ``norm`` and, where it was measured, ``embedding``.

    Args:
        view: The accumulators.
        norm: Parameters of the model's output LayerNorm.
        grid: Rows and columns of the patch grid, for the watched channels.
    """
    extras: dict[str, Any] = {
        "layers": {layer: _layer(view, layer, grid) for layer in range(view.depth)},
        "norm": {"gamma": _float32(norm.gamma), "beta": _float32(norm.beta)},
    }
    if norm.cls_gamma is not None and norm.cls_beta is not None:
        extras["norm"]["cls_gamma"] = _float32(norm.cls_gamma)
        extras["norm"]["cls_beta"] = _float32(norm.cls_beta)
    if view.part["count"][view.depth].any():
        extras["embedding"] = {
            role: view.moments(view.depth, "pre", role).finalize().as_dict() for role in view.roles
        }
    return extras


def _layer(view: StateView, layer: int, grid: tuple[int, int]) -> dict[str, Any]:
    part, roles = view.part, view.roles
    by_representation = list(enumerate(MEASURED))
    entry: dict[str, Any] = {
        "range": {
            name: {
                role: {
                    "min": part["low"][layer, index, place].clone(),
                    "max": part["high"][layer, index, place].clone(),
                }
                for place, role in enumerate(roles)
            }
            for index, name in by_representation
        },
        "argmax": {role: part["peak"][layer, place].clone() for place, role in enumerate(roles)},
        "exceed": {role: _counts(part["exceed"][layer, place]) for place, role in enumerate(roles)},
        "norm_hist": {
            name: {
                role: part["norm_hist"][layer, index, place].clone()
                for place, role in enumerate(roles)
            }
            for index, name in by_representation
        },
        "top": (part["top_sum"][layer] / part["top_images"][layer]).float(),
        "groups": {
            name: {role: _groups(view, layer, index, role) for role in GROUPED_ROLES}
            for index, name in by_representation
        },
        "storage": {
            role: {name: view.moments(layer, name, role).finalize().as_dict() for name in MEASURED}
            for role in roles[2:]
        },
    }
    if part["watched"].shape[1]:
        entry["footprint"] = _footprint(view, layer, grid)
    return entry


def _footprint(view: StateView, layer: int, grid: tuple[int, int]) -> dict[str, Tensor]:
    """Return the watched channels and their mean magnitude at every patch; NaN where none."""
    count = view.part["footprint_count"][layer]
    mean = view.part["footprint_sum"][layer] / count.unsqueeze(-1)
    return {
        "channels": view.part["watched"][layer].to(torch.int32),
        "mean_abs": mean.float().T.reshape(-1, *grid).contiguous(),
    }


def _groups(view: StateView, layer: int, representation: int, role: str) -> dict[str, Tensor]:
    """Return count, mean and std of every image group; NaN where a group has no token."""
    cells = view.cells(role)
    count = view.part["count"][layer, cells].clone()
    mean = view.part["mean"][layer, representation, cells]
    variance = view.part["m2"][layer, representation, cells] / count.unsqueeze(-1)
    seen = count.unsqueeze(-1) > 0
    return {
        "count": count,
        "mean": mean.where(seen, torch.nan).float(),
        "std": variance.sqrt().where(seen, torch.nan).float(),
    }


def _counts(values: Tensor) -> Tensor:
    """Return counts as int32 where they fit, which makes the file a tenth smaller, else int64."""
    fits = int(values.max()) <= torch.iinfo(torch.int32).max
    return values.to(torch.int32) if fits else values.clone()


def _float32(values: Tensor) -> Tensor:
    return values.detach().float().cpu().clone()
