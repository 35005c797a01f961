"""Photographs for the screen, as the network saw them, from files that may be read. No torch.

A payload names its images by paths below `data.root`, and may come from another machine. Each path
is looked for below the folders where it may be here, and is only opened below an allowed root.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from analysis.errors import ImageError
from analysis.language import _
from analysis.payload.image_paths import FORMATS

MAX_BYTES = 100 * 2**20
"""Larger files are not opened for the screen."""

MAX_PIXELS = 64_000_000
"""Larger pictures are not decoded for the screen; decoded they take three bytes a pixel."""

PATCH_SIZE = 16
"""Edge of a patch in pixels, the same in the whole family."""

OUTLINE = (255, 225, 0)
CONTRAST = (20, 20, 20)


def load_photograph(
    source: Path | bytes, image_size: Sequence[int], network_size: Sequence[int] | None = None
) -> NDArray[np.uint8]:
    """Decode a picture and resize it as the network sees it.

    Args:
        source: A file, or the content of one.
        image_size: Width and height that pictures are resized to (Pillow's BICUBIC).
        network_size: Width and height of the upper left part that the patches cover.

    Returns:
        RGB, uint8 ``[height, width, 3]``.

    Raises:
        ImageError: If it is no picture of a known format, damaged, or too large for the screen.
    """
    width, height = (int(side) for side in image_size)
    columns, rows = (int(side) for side in network_size or image_size)
    name = _("The uploaded file") if isinstance(source, bytes) else str(source)
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size > MAX_BYTES:
            raise ImageError(
                _("{name}: larger than {max_bytes} MB.").format(
                    name=name, max_bytes=MAX_BYTES // 2**20
                )
            )
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks about metadata are no failures
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ImageError(
                        _(
                            "{name}: {width} x {height} pixels are too many for the screen (at "
                            "most {max_pixels:,})."
                        ).format(
                            name=name, width=image.width, height=image.height, max_pixels=MAX_PIXELS
                        )
                    )
                rgb = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    except ImageError:
        raise
    except Exception as error:  # decoders raise anything on a broken file
        raise ImageError(
            _("{name}: cannot be shown as a picture ({error}).").format(name=name, error=error)
        ) from error
    return np.asarray(rgb)[:rows, :columns]


def outline_patch(pixels: NDArray[np.uint8], patch: int) -> NDArray[np.uint8]:
    """Return the picture at twice its size with one patch outlined.

    Args:
        pixels: uint8 ``[height, width, 3]``, what the network saw.
        patch: Index of the patch, row by row.
    """
    row, column = patch_position(pixels, patch)
    image = Image.fromarray(pixels)
    image = image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC)
    edge = 2 * PATCH_SIZE
    left, top = column * edge, row * edge
    draw = ImageDraw.Draw(image)
    for distance, color in ((5, CONTRAST), (3, OUTLINE)):
        box = (left - distance, top - distance, left + edge + distance, top + edge + distance)
        draw.rectangle(box, outline=color, width=2 if color is CONTRAST else 3)
    return np.asarray(image)


def crop_patch(pixels: NDArray[np.uint8], patch: int, around: int = 2) -> NDArray[np.uint8]:
    """Return a patch and its neighbours, outlined, eight times enlarged.

    Args:
        pixels: uint8 ``[height, width, 3]``, what the network saw.
        patch: Index of the patch, row by row.
        around: Patches on each side; what lies outside the picture is left out.
    """
    row, column = patch_position(pixels, patch)
    top, left = max(0, row - around), max(0, column - around)
    part = pixels[
        top * PATCH_SIZE : (row + around + 1) * PATCH_SIZE,
        left * PATCH_SIZE : (column + around + 1) * PATCH_SIZE,
    ]
    zoom = 8
    image = Image.fromarray(part)
    image = image.resize((zoom * image.width, zoom * image.height), Image.Resampling.NEAREST)
    edge = zoom * PATCH_SIZE
    x, y = (column - left) * edge, (row - top) * edge
    ImageDraw.Draw(image).rectangle((x, y, x + edge - 1, y + edge - 1), outline=OUTLINE, width=4)
    return np.asarray(image)


def patch_position(pixels: NDArray[np.uint8], patch: int) -> tuple[int, int]:
    """Return row and column of a patch.

    Raises:
        ImageError: If the picture has no such patch.
    """
    rows, columns = pixels.shape[0] // PATCH_SIZE, pixels.shape[1] // PATCH_SIZE
    if not 0 <= patch < rows * columns:
        raise ImageError(
            _("Patch {patch} lies outside the {rows} x {columns} patches of the image.").format(
                patch=patch, rows=rows, columns=columns
            )
        )
    return divmod(patch, columns)


def to_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels ``[height, width, 3]`` as a JPEG file."""
    return _encode(pixels, "JPEG", quality=88)


def to_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels ``[height, width, 3]`` as a PNG file, without loss."""
    return _encode(pixels, "PNG")


def _encode(pixels: NDArray[np.uint8], kind: str, **settings: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, kind, **settings)
    return file.getvalue()
