"""Which images are measured, in which order: the CSV, the split and the limit, without decoding.

The order is fixed by image id, so that image index i means the same picture in every run. The
split is drawn exactly as training draws it: `numpy.random.default_rng(seed)` shuffles `arange(n)`
over the sorted images, and the first `max(1, int(n * val_split))` of it are validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.collect.plan.image_csv import read_image_csv
from analysis.collect.plan.image_folder import describe_unreadable, walk_images
from analysis.collect.plan.image_split import draw_split
from analysis.collect.plan.settings import Settings
from analysis.errors import ImageError
from analysis.payload.image_paths import fingerprint_files


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One image to measure."""

    image_id: str
    path: Path
    relative: str
    """Path below `data.root` with forward slashes; an absolute path where the CSV gives one."""


@dataclass(frozen=True)
class ImageList:
    """The images of one extraction; the position in `entries` is the image index."""

    entries: tuple[ImageEntry, ...]
    split: str
    """`train`, `val` or `all`."""
    total: int
    """Images in the split, before a limit takes the first of them."""
    dropped_missing_target: int
    """Images of the CSV that lack a target which training needs."""
    fingerprint: str
    """sha256 over relative paths and file sizes in order; the pixels are not read."""
    notices: tuple[str, ...] = ()


def list_images(settings: Settings, split: str = "all", max_images: int = 0) -> ImageList:
    """List the images that an extraction measures, sorted by image id.

    Args:
        settings: Says where the images are and how the split is drawn.
        split: `train`, `val` or `all`.
        max_images: Take the first so many; 0 takes all.

    Raises:
        ConfigError: If `data.val_split` is missing where it is needed.
        ImageError: If the images' folder or CSV is missing, unreadable or names no image, or
            not one of the images exists.
    """
    if not settings.data_root.is_dir():
        raise ImageError(
            f"data.root {settings.data_root} is not a folder; correct it in {settings.config_path}"
        )
    notices: list[str] = []
    if settings.train_csv is None:
        listed, unreadable = walk_images(settings.data_root)
        dropped = 0
        if unreadable:
            notices.append(describe_unreadable(unreadable))
    else:
        listed, dropped = read_image_csv(
            settings.train_csv, settings.target_order, settings.data_root
        )
    if dropped:
        notices.append(
            f"{dropped} of {len(listed) + dropped} images lack a target of data.target_order "
            f"({', '.join(settings.target_order)}) and are left out, as in training"
        )
    positions, split_notices = draw_split(listed, split, settings)
    notices += split_notices
    chosen = [listed[index] for index in positions]
    entries = tuple(
        ImageEntry(image_id, settings.data_root / relative, relative)
        for image_id, relative in (chosen[:max_images] if max_images else chosen)
    )
    sizes = _file_sizes(entries)
    missing = sum(size is None for size in sizes)
    if missing == len(entries):
        raise ImageError(
            f"None of the {len(entries)} images exists below data.root {settings.data_root}; "
            f"the first is {entries[0].path}. Correct data.root or the image paths"
        )
    if missing:
        first = next(entry for entry, size in zip(entries, sizes, strict=True) if size is None)
        notices.append(f"{missing} of {len(entries)} images do not exist; the first: {first.path}")
    return ImageList(
        entries=entries,
        split=split,
        total=len(chosen),
        dropped_missing_target=dropped,
        fingerprint=fingerprint_files((entry.relative for entry in entries), sizes),
        notices=tuple(notices),
    )


def _file_sizes(entries: Sequence[ImageEntry]) -> list[int | None]:
    """Return each file's size in bytes, None where there is no file; each path is asked once."""
    known: dict[str, int | None] = {}
    for entry in entries:
        if entry.relative not in known:
            try:
                known[entry.relative] = entry.path.stat().st_size
            except OSError:
                known[entry.relative] = None
    return [known[entry.relative] for entry in entries]
