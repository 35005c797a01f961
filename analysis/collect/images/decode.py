"""Decode one image file and resize it, as training sees it.

Pillow decodes in full (no draft mode, EXIF orientation ignored) and pictures are resized as its
BICUBIC does it. Where they shrink to half or less, torch does it on uint8, within one 8-bit level
and several times faster, which its float path is not; elsewhere rounding between the two passes,
and their order, may cost a second level, so Pillow does it itself.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from analysis.errors import ImageError
from analysis.payload.image_paths import FORMATS


def load_image(path: Path, size: tuple[int, int]) -> Tensor:
    """Decode one image and resize it.

    Args:
        path: File of one of `FORMATS`.
        size: Width and height in pixels.

    Returns:
        RGB pixels, uint8 of shape ``[3, height, width]`` on the CPU.

    Raises:
        ImageError: If the file is missing, not an image, truncated, or so large that Pillow
            takes it for a decompression bomb.
    """
    try:
        return decode_image(str(path), size)
    except Exception as error:
        raise ImageError(f"{path}: {describe_failure(error)}") from error


def decode_image(path: str, size: tuple[int, int]) -> Tensor:
    """Do what `load_image` does, raising whatever Pillow raises."""
    width, height = size
    # Pillow's remarks about odd metadata and large pictures are not failures.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=FORMATS) as image:
            rgb = image if image.mode == "RGB" else image.convert("RGB")
            by_torch = _shrinks(rgb.width, width) and _shrinks(rgb.height, height)
            if not by_torch:
                rgb = rgb.resize(size, Image.Resampling.BICUBIC)
            pixels = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)
    if by_torch:
        # The permuted view is channels-last, the layout in which uint8 resizing is fast.
        batch = F.interpolate(pixels[None], (height, width), mode="bicubic", antialias=True)
        return batch[0]
    return pixels


def _shrinks(source: int, target: int) -> bool:
    """Return whether torch resizes this side as Pillow does: it keeps its length, or halves it."""
    return source == target or source >= 2 * target


def describe_failure(error: Exception) -> str:
    """Return in one line why an image could not be decoded."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    if isinstance(error, Image.DecompressionBombError):
        return "more pixels than Pillow opens (taken for a decompression bomb)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(f"{type(error).__name__}: {error}".split())
