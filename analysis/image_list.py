"""Which images are measured, in which order: the CSV, the split and the limit, without decoding.

The order is fixed by image id, so that image index i means the same picture in every run. The
split is drawn exactly as training draws it: `numpy.random.default_rng(seed)` shuffles `arange(n)`
over the sorted images, and the first `max(1, int(n * val_split))` of it are validation.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from analysis.errors import ConfigError, ImageError
from analysis.settings import SPLITS, Settings

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_NO_VALUE = {"", "nan", "na", "n/a", "null", "none"}


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


def list_images(
    settings: Settings, *, split: str | None = None, max_images: int | None = None
) -> ImageList:
    """List the images that an extraction measures, sorted by image id.

    Args:
        settings: Says where the images are and how the split is drawn.
        split: `train`, `val` or `all`; by default `analysis.split`, else all images where
            `train_all` is enabled and the training part where it is not.
        max_images: Take the first so many; 0 takes all; by default `analysis.max_images`.

    Raises:
        ConfigError: If `split` or `max_images` is not possible, or `data.val_split` is missing
            where it is needed.
        ImageError: If the images' folder or CSV is missing, unreadable or names no image, or
            not one of the images exists.
    """
    split = split or str(
        settings.analysis.get("split") or ("all" if settings.train_all else "train")
    )
    limit = int(settings.analysis.get("max_images", 0)) if max_images is None else max_images
    if split not in SPLITS:
        raise ConfigError(f"--split is {split!r}; expected one of {', '.join(SPLITS)}")
    if limit < 0:
        raise ConfigError(f"--max-images is {limit}; expected 0 (all) or more")
    if not settings.data_root.is_dir():
        raise ImageError(
            f"data.root {settings.data_root} is not a folder; correct it in {settings.config_path}"
        )
    notices: list[str] = []
    if settings.train_csv is None:
        listed, dropped = sorted(_walk(settings.data_root)), 0
        if not listed:
            raise ImageError(
                f"data.root {settings.data_root} holds no image ({', '.join(IMAGE_SUFFIXES)})"
            )
    else:
        listed, dropped = _read_csv(settings.train_csv, settings.target_order)
    if dropped:
        notices.append(
            f"{dropped} of {len(listed) + dropped} images lack a target of data.target_order "
            f"({', '.join(settings.target_order)}) and are left out, as in training"
        )
    chosen = [listed[index] for index in _draw_split(len(listed), split, settings)]
    entries = tuple(
        ImageEntry(image_id, settings.data_root / relative, relative)
        for image_id, relative in (chosen[:limit] if limit else chosen)
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
        fingerprint=_fingerprint(entries, sizes),
        notices=tuple(notices),
    )


def _draw_split(n: int, split: str, settings: Settings) -> Sequence[int]:
    """Return the positions of a split among `n` sorted images, ascending."""
    if split == "all":
        return range(n)
    if settings.val_split is None:
        raise ConfigError(
            f"{settings.config_path}: the key data.val_split is missing, so the split {split} "
            "cannot be drawn; add it, or take all images with --split all"
        )
    order = np.arange(n)
    np.random.default_rng(settings.seed).shuffle(order)
    held_out = max(1, int(n * settings.val_split))
    part = order[:held_out] if split == "val" else order[held_out:]
    if not len(part):
        raise ImageError(f"The split {split} of {n} image(s) is empty; use --split all")
    return np.sort(part).tolist()


@dataclass
class _Columns:
    """Where a CSV keeps what is needed; None where it has no such column."""

    image_path: int
    sample_id: int | None
    image_id: int | None
    target_name: int | None
    target: int | None

    def read_id(self, row: Sequence[str], relative: str) -> str:
        """Return the image id: `sample_id` without its target, `image_id`, or the path."""
        if self.sample_id is None:
            return relative if self.image_id is None else row[self.image_id]
        sample = row[self.sample_id]
        if self.target_name is not None and sample.endswith("__" + row[self.target_name]):
            return sample[: -len(row[self.target_name]) - 2]
        return sample.rpartition("__")[0] or sample


@dataclass
class _Table:
    """A CSV folded to one item per image."""

    targets: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """Per (image id, relative path), the names of the targets that have a value."""
    has_targets: bool = False


def _read_csv(path: Path, target_order: Sequence[str]) -> tuple[list[tuple[str, str]], int]:
    """Return the sorted (image id, relative path) of a CSV, and how many images were dropped."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = _fold_rows(path, csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImageError(f"data.train_csv {path} cannot be read: {error}") from error
    if not table.targets:
        raise ImageError(f"data.train_csv {path} has no rows; expected one or more per image")
    needed = set(target_order) if table.has_targets else set()
    kept = [image for image, names in table.targets.items() if needed <= names]
    if not kept:
        there = ", ".join(sorted(set().union(*table.targets.values()))[:10]) or "none with a value"
        raise ImageError(
            f"No image of {path} has all targets of data.target_order "
            f"({', '.join(target_order)}); its targets are: {there}"
        )
    return sorted(kept), len(table.targets) - len(kept)


def _fold_rows(path: Path, rows: Iterator[list[str]]) -> _Table:
    header = [name.strip() for name in next(rows, [])]
    positions = {name: position for position, name in enumerate(header)}
    if "image_path" not in positions:
        raise ImageError(
            f"data.train_csv {path} has no column image_path; its columns are: "
            f"{', '.join(header[:20]) or 'none'}"
        )
    columns = _Columns(
        image_path=positions["image_path"],
        sample_id=positions.get("sample_id"),
        image_id=positions.get("image_id"),
        target_name=positions.get("target_name"),
        target=positions.get("target"),
    )
    table = _Table(has_targets=columns.target_name is not None)
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise ImageError(
                f"data.train_csv {path}, row {number}: {len(row)} fields; "
                f"expected {len(header)} as in its first row"
            )
        text = row[columns.image_path].strip()
        if not text or "\0" in text:
            raise ImageError(f"data.train_csv {path}, row {number}: image_path is {text!r}")
        relative = _tidy(text)
        names = table.targets.setdefault((columns.read_id(row, relative), relative), set())
        if columns.target_name is not None and (
            columns.target is None or row[columns.target].strip().lower() not in _NO_VALUE
        ):
            names.add(row[columns.target_name])
    return table


def _tidy(text: str) -> str:
    """Write a path in one way, so that `./a.jpg` and `a.jpg` are one image."""
    return os.path.normpath(text) if "//" in text or "./" in text else text


def _walk(root: Path) -> Iterator[tuple[str, str]]:
    """Yield (relative, relative) of every image below `root`; names with a leading dot are not."""
    seen: set[tuple[int, int]] = set()

    def walk(folder: Path, below: PurePosixPath) -> Iterator[tuple[str, str]]:
        state = folder.stat()
        # A link may lead back to a folder that contains it.
        if (state.st_dev, state.st_ino) in seen:
            return
        seen.add((state.st_dev, state.st_ino))
        with os.scandir(folder) as items:
            for item in items:
                if item.name.startswith("."):
                    continue
                if item.is_dir():
                    yield from walk(Path(item.path), below / item.name)
                elif item.name.lower().endswith(IMAGE_SUFFIXES):
                    relative = str(below / item.name)
                    yield relative, relative

    try:
        yield from walk(root, PurePosixPath())
    except OSError as error:
        raise ImageError(f"data.root {root} cannot be listed: {error}") from error


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


def _fingerprint(entries: Sequence[ImageEntry], sizes: Sequence[int | None]) -> str:
    digest = hashlib.sha256()
    for entry, size in zip(entries, sizes, strict=True):
        digest.update(f"{entry.relative}\0{size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
