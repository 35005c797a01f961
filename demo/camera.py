"""Light and camera: cast shadows, white balance, exposure, vignetting, blur and noise.

All of it is nuisance: it changes the pixels and never the cover.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from demo.seasons import Season

Pixels = NDArray[np.float32]


def smooth_field(rng: np.random.Generator, cells: tuple[int, int], size: tuple[int, int]) -> Pixels:
    """Smooth noise ``[height, width]`` around 0..1 from a grid of ``cells`` (rows, columns).

    Args:
        rng: Source of the grid's values.
        cells: Rows and columns of the coarse grid.
        size: Width and height of the result in pixels.
    """
    grid = Image.fromarray(rng.random(cells, dtype=np.float32))
    return np.asarray(grid.resize(size, Image.Resampling.BICUBIC))


def cast_shadows(heights: NDArray[np.uint8], direction: float, strength: float) -> Pixels:
    """Brightness factor ``[height, width]`` of hard shadows and of soft occlusion.

    Args:
        heights: Height above the ground of every pixel, 0..63.
        direction: Where the light comes from, radians.
        strength: 0 leaves only the soft occlusion; 1 makes a shadow black.
    """
    level = heights.astype(np.int16)
    shadow = np.zeros(heights.shape, np.float32)
    for reach in (1, 3, 5, 8):
        dx, dy = round(np.cos(direction) * reach), round(np.sin(direction) * reach)
        shadow += np.roll(level, (-dy, -dx), axis=(0, 1)) > level + 3.4 * reach + 4
    hard = 1 - np.float32(strength) * np.minimum(shadow, 2) / 2
    blurred = Image.fromarray(heights).filter(ImageFilter.BoxBlur(4))
    hidden = np.maximum(np.asarray(blurred).astype(np.float32) - heights, 0) / 63
    return (hard * (1 - 0.75 * hidden)).astype(np.float32)


def photograph(rng: np.random.Generator, scene: Pixels, season: Season) -> NDArray[np.uint8]:
    """Take the picture: from scene ``[height, width, 3]`` in 0..255 to 8-bit pixels."""
    height, width = scene.shape[:2]
    size = (width, height)
    gain = np.array(season.light) * (0.95 + 0.10 * rng.random(3))
    gain *= season.exposure[0] + (season.exposure[1] - season.exposure[0]) * rng.random()
    metered = (102 / max(float(scene.mean()), 1.0)) ** 0.65  # automatic exposure, not quite right
    picture = scene * (metered * gain).astype(np.float32)

    if rng.random() < 0.12:  # the shadow of whoever holds the camera
        coarse = smooth_field(rng, (2, 3), size)
        shade = 1 / (1 + np.exp(-np.clip((coarse - 0.5) * 40, -30, 30)))
        picture *= (1 - 0.36 * shade)[..., None] * np.array([0.97, 0.99, 1.05], np.float32)

    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] - 0.3 * (rng.random() - 0.5)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None] - 0.3 * (rng.random() - 0.5)
    fall_off = 0.05 + 0.22 * rng.random()
    picture *= (1 - fall_off * (x * x + 0.6 * y * y))[..., None]

    grey = picture.mean(axis=2, keepdims=True)
    picture = grey + (picture - grey) * (0.68 + 0.27 * rng.random())
    contrast = 0.92 + 0.22 * rng.random()
    picture = (picture - 96) * contrast + 96
    blur = 0.15 + 0.75 * rng.random() ** 2
    soft = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(blur)
    )
    picture = np.asarray(soft).astype(np.float32)
    grain = (1.2 + 4.5 * rng.random() ** 2) * np.sqrt(picture / 128 + 0.2)
    noise = rng.random(picture.shape, dtype=np.float32) - 0.5
    return np.clip(picture + grain * 2 * noise + 0.5, 0, 255).astype(np.uint8)
