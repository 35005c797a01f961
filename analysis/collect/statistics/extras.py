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
    if view.part["count"][0].any():
        extras["embedding"] = {
            role: view.moments(-1, "pre", role).finalize().as_dict() for role in view.roles
        }
    return extras


def _layer(view: StateView, layer: int, grid: tuple[int, int]) -> dict[str, Any]:
    part, roles, slot = view.part, view.roles, view.first_block + layer
    by_representation = list(enumerate(MEASURED))
    entry: dict[str, Any] = {
        "range": {
            name: {
                role: {
                    "min": part["low"][slot, index, place].clone(),
                    "max": part["high"][slot, index, place].clone(),
                }
                for place, role in enumerate(roles)
            }
            for index, name in by_representation
        },
        "argmax": {role: part["peak"][slot, place].clone() for place, role in enumerate(roles)},
        "exceed": {role: _counts(part["exceed"][slot, place]) for place, role in enumerate(roles)},
        "norm_hist": {
            name: {
                role: part["norm_hist"][slot, index, place].clone()
                for place, role in enumerate(roles)
            }
            for index, name in by_representation
        },
        "top": (part["top_sum"][slot] / part["top_images"][slot]).float(),
        "groups": {
            name: {role: _groups(view, slot, index, role) for role in GROUPED_ROLES}
            for index, name in by_representation
        },
        "image_means": {
            name: {role: _image_means(view, layer, name, role) for role in GROUPED_ROLES}
            for name in MEASURED
        },
        "storage": {
            role: {name: view.moments(layer, name, role).finalize().as_dict() for name in MEASURED}
            for role in roles[2:]
        },
    }
    if part["watched"].shape[1]:
        entry["footprint"] = _footprint(view, slot, grid)
    return entry


def _footprint(view: StateView, slot: int, grid: tuple[int, int]) -> dict[str, Tensor]:
    """Return the watched channels and their mean magnitude at every patch; NaN where none."""
    count = view.part["footprint_count"][slot]
    mean = view.part["footprint_sum"][slot] / count.unsqueeze(-1)
    return {
        "channels": view.part["watched"][slot].to(torch.int32),
        "mean_abs": mean.float().T.reshape(-1, *grid).contiguous(),
    }


def _groups(view: StateView, slot: int, representation: int, role: str) -> dict[str, Tensor]:
    """Return count, mean and std of every image group; NaN where a group has no token."""
    cells = view.cells(role)
    count = view.part["count"][slot, cells].clone()
    mean = view.part["mean"][slot, representation, cells]
    variance = view.part["m2"][slot, representation, cells] / count.unsqueeze(-1)
    seen = count.unsqueeze(-1) > 0
    return {
        "count": count,
        "mean": mean.where(seen, torch.nan).float(),
        "std": variance.sqrt().where(seen, torch.nan).float(),
    }


def _image_means(view: StateView, layer: int, representation: str, role: str) -> Tensor:
    """Return the sum over images of (image mean - channel mean)², float32 ``(channels,)``.

    The channel mean is that of all tokens. Accumulated are deviations from the mean of the image
    means, which differs from it where images lack tokens: the shift is added (Steiner).
    """
    slot, place = view.first_block + layer, GROUPED_ROLES.index(role)
    index = slot, MEASURED.index(representation), place
    shift = view.part["image_mean"][index] - view.moments(layer, representation, role).mean
    images = view.part["image_count"][slot, place]
    return (view.part["image_m2"][index] + images * shift.square()).float()


def _counts(values: Tensor) -> Tensor:
    """Return counts as int32 where they fit, which makes the file a tenth smaller, else int64."""
    fits = int(values.max()) <= torch.iinfo(torch.int32).max
    return values.to(torch.int32) if fits else values.clone()


def _float32(values: Tensor) -> Tensor:
    return values.detach().float().cpu().clone()
