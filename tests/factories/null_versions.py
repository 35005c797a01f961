"""Versions drawn from images, to count how often a comparison claims what is not there.

Images differ by one of four distributions. The values of a channel in neighbouring layers, in the
two stored representations and of the channels among each other are correlated, as they are in a
residual stream. `global_ln` is left out: it is an affine image of `per_layer_ln` and adds nothing
but the same tests again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.payload.groups import GroupStats
from analysis.vocabulary import ROLES, Cell, Representation

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]

CHANNELS = 64
TOKENS = 200
_BETWEEN = 0.3
"""Share of the variance of patch tokens that lies between images."""
_ALIKE = 0.8
"""Share of the variance between images that lies between runs of alike ones."""
_STORED = (Representation.PRE, Representation.PER_LAYER_LN)


def _lognormal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return (rng.lognormal(size=shape) - np.exp(0.5)) / np.sqrt(np.exp(2) - np.exp(1))


def _rare_large(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """One image in twenty is ten times as far out, in every channel and layer."""
    size = np.where(rng.random((shape[-2], 1)) < 0.05, 10.0, 1.0)
    return rng.standard_normal(shape) * size / np.sqrt(0.95 + 0.05 * 10.0**2)


DISTRIBUTIONS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "t3": lambda rng, shape: rng.standard_t(3, shape) / np.sqrt(3),
    "lognormal": _lognormal,
    "rare large images": _rare_large,
}


@dataclass(frozen=True)
class Design:
    """What two versions without a difference were measured on."""

    distribution: str
    images: int
    layers: int
    paired: bool
    groups: int = 32
    other_images: int | None = None
    """Images of the second version where it has another number."""
    missing_group: bool = False
    """Whether the second version lost the images of one group."""
    planted: float = 0.0
    """Standard errors by which one channel of one layer differs."""
    run: int = 1
    """Neighbours in the list that are alike, as the frames of a burst are; 1 where none are."""


def draw_versions(
    rng: np.random.Generator, design: Design
) -> tuple[Callable[[Cell], GroupStats | None], Callable[[Cell], GroupStats | None]]:
    """Return the groups of two versions whose images come from one distribution."""
    first = _draw_images(rng, design, design.images)
    if design.paired:
        second = first + 0.1 * _draw_images(rng, design, design.images)
        first = first + 0.1 * _draw_images(rng, design, design.images)
        error = 0.1 * np.sqrt(2 / design.images)
    else:
        images = design.other_images or design.images
        second = _draw_images(rng, design, images)
        error = np.sqrt(1 / design.images + 1 / images)
    if design.planted:
        second[design.layers // 2, 0, 0, :, 3] += design.planted * error
    return (
        _group(first, design.groups, None),
        _group(second, design.groups, 1 if design.missing_group else None),
    )


def _draw_images(rng: np.random.Generator, design: Design, images: int) -> Floats:
    """Draw ``[layers, 2 representations, 2 roles, images, channels]``, of variance 1."""
    draw = DISTRIBUTIONS[design.distribution]
    shape = (design.layers, len(_STORED), len(ROLES), images, CHANNELS)
    values = draw(rng, shape)
    if design.run > 1:
        runs = draw(rng, (*shape[:-2], -(-images // design.run), CHANNELS))
        alike = np.repeat(runs, design.run, axis=-2)[..., :images, :]
        values = np.sqrt(_ALIKE) * alike + np.sqrt(1 - _ALIKE) * values
    values[:, 1] = 0.9 * values[:, 0] + np.sqrt(1 - 0.9**2) * values[:, 1]
    for layer in range(1, design.layers):
        values[layer] = 0.8 * values[layer - 1] + 0.6 * values[layer]
    common = values[..., :1].copy()
    values[..., 1:] = np.sqrt(0.8) * values[..., 1:] + np.sqrt(0.2) * common
    return values


def _group(images: Floats, groups: int, missing: int | None) -> Callable[[Cell], GroupStats | None]:
    number = images.shape[-2]
    blocks = np.arange(number) * min(groups, number) // number  # contiguous, as even as can be
    count = np.bincount(blocks, minlength=groups)
    sums = np.zeros((groups, number))
    sums[blocks, np.arange(number)] = 1 / count[blocks]
    mean = sums @ images
    center = images - mean[..., blocks, :]
    variance = sums @ center**2
    # A patch token is its image's value, scaled, and a part of its own.
    variance[:, :, 1] = _BETWEEN * variance[:, :, 1] + (1 - _BETWEEN)
    mean[:, :, 1] *= np.sqrt(_BETWEEN)
    tokens = count.copy()
    if missing is not None:
        tokens[missing] = 0

    def read(cell: Cell) -> GroupStats | None:
        if cell.representation not in _STORED:
            return None
        at = cell.layer, cell.representation.position, cell.role.position
        per_image = TOKENS if cell.role.position else 1
        return GroupStats(tokens * per_image, mean[at], np.sqrt(variance[at]))

    return read
