"""The images of a folder, where no CSV names them."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from analysis.errors import ImageError
from analysis.language import _

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff"),
    *(".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".avif", ".avifs", ".jp2", ".j2k"),
    *(".jpf", ".jpx", ".jpc", ".j2c", ".tga", ".qoi", ".sgi", ".rgb", ".pcx", ".psd", ".dds"),
)
"""Files below `data.root` that are images where no CSV names them."""
UNREADABLE_SUFFIXES = (".heic", ".heif", ".jxl", ".dng", ".nef", ".cr2", ".cr3", ".arw")
"""Photographs that Pillow does not read by itself: they are left out, and said."""


def walk_images(root: Path) -> tuple[list[tuple[str, str]], list[str]]:
    """Return (relative, relative) of every image below `root`, sorted, and what Pillow cannot read.

    Names with a leading dot are left out.

    Raises:
        ImageError: If a folder cannot be listed, or there is no image.
    """
    images: list[str] = []
    unreadable: list[str] = []
    seen: set[tuple[int, int]] = set()

    def walk(folder: Path, below: PurePosixPath) -> None:
        state = folder.stat()
        # A link may lead back to a folder that contains it.
        if (state.st_dev, state.st_ino) in seen:
            return
        seen.add((state.st_dev, state.st_ino))
        with os.scandir(folder) as items:
            for item in items:
                name = item.name.lower()
                if name.startswith("."):
                    continue
                if item.is_dir():
                    walk(Path(item.path), below / item.name)
                elif name.endswith(IMAGE_SUFFIXES):
                    images.append(str(below / item.name))
                elif name.endswith(UNREADABLE_SUFFIXES):
                    unreadable.append(str(below / item.name))

    try:
        walk(root, PurePosixPath())
    except OSError as error:
        raise ImageError(
            _("data.root {root} cannot be listed: {error}").format(root=root, error=error)
        ) from error
    if not images:
        besides = f". {describe_unreadable(sorted(unreadable))}" if unreadable else ""
        raise ImageError(
            _("data.root {root} holds no image ({image_suffixes}){besides}").format(
                root=root, image_suffixes=", ".join(IMAGE_SUFFIXES), besides=besides
            )
        )
    return [(relative, relative) for relative in sorted(images)], sorted(unreadable)


def describe_unreadable(names: list[str]) -> str:
    """Say how many photographs are of a format that Pillow does not read by itself."""
    return _(
        "{count} photograph(s) of a format that Pillow does not read here "
        "are left out, the first: {names_1}; convert them to PNG or JPEG"
    ).format(count=len(names), names_1=names[0])
