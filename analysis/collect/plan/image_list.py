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
from analysis.language import _
from analysis.payload.image_paths import fingerprint_files


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One image to measure."""

    image_id: str
    path: Path
    relative: str
    """Path below `data.root` with forward slashes; an absolute path where the CSV gives one, and of
    a further data set elsewhere."""
    section: str = ""
    """Key of the further data set that the image is of; empty for the config's own."""


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
            _("data.root {data_root} is not a folder; correct it in {config_path}").format(
                data_root=settings.data_root, config_path=settings.config_path
            )
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
            _(
                "{dropped} of {count} images lack a target of data.target_order "
                "({target_order}) and are left out, as in training"
            ).format(
                dropped=dropped,
                count=len(listed) + dropped,
                target_order=", ".join(settings.target_order),
            )
        )
    positions, split_notices = draw_split(listed, split, settings)
    notices += split_notices
    chosen = [listed[index] for index in positions]
    everything = [
        ImageEntry(image_id, settings.data_root / relative, relative)
        for image_id, relative in chosen
    ]
    if split != "val" and settings.mixed_sets:
        further, further_notices = _list_further(
            settings, {image_id for image_id, _unused in chosen}
        )
        everything += further
        notices += further_notices
    entries = tuple(everything[:max_images] if max_images else everything)
    sizes = _file_sizes(entries)
    missing = sum(size is None for size in sizes)
    if missing == len(entries):
        raise ImageError(
            _(
                "None of the {count} images exists below data.root {data_root}; "
                "the first is {path}. Correct data.root or the image paths"
            ).format(count=len(entries), data_root=settings.data_root, path=entries[0].path)
        )
    if missing:
        first = next(entry for entry, size in zip(entries, sizes, strict=True) if size is None)
        notices.append(
            _("{missing} of {count} images do not exist; the first: {path}").format(
                missing=missing, count=len(entries), path=first.path
            )
        )
    return ImageList(
        entries=entries,
        split=split,
        total=len(everything),
        dropped_missing_target=dropped,
        fingerprint=fingerprint_files((entry.relative for entry in entries), sizes),
        notices=tuple(notices),
    )


def _list_further(settings: Settings, image_ids: set[str]) -> tuple[list[ImageEntry], list[str]]:
    """Return the images of the further data sets in training's order, and notices with counts."""
    entries: list[ImageEntry] = []
    notices: list[str] = []
    counts = {"data.train_csv": len(image_ids)}
    for mixed in settings.mixed_sets:
        try:
            paths = mixed.list_images(image_ids)
        except ImageError as error:
            notices.append(
                _("{section} is enabled, but left out: {error}").format(
                    section=mixed.section, error=error
                )
            )
            continue
        if mixed.image_size not in (None, settings.image_size):
            notices.append(
                _(
                    "{section}: {count} images are left out, since its image_size "
                    "{image_size} is not data.image_size {settings_image_size}, and "
                    "one payload has one grid of patches"
                ).format(
                    section=mixed.section,
                    count=len(paths),
                    image_size=mixed.image_size,
                    settings_image_size=settings.image_size,
                )
            )
            continue
        counts[mixed.section] = len(paths)
        for path in paths:
            below = path.is_relative_to(settings.data_root)
            relative = path.relative_to(settings.data_root).as_posix() if below else str(path)
            entries.append(ImageEntry(f"{mixed.section}/{relative}", path, relative, mixed.section))
    if entries:
        shares = ", ".join(
            _("{count} of {section}").format(count=count, section=section)
            for section, count in counts.items()
        )
        notices.append(
            _("Training mixes data sets, and so does this list: {shares} images").format(
                shares=shares
            )
        )
    return entries, notices


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
