"""Further data sets that training appends to its images, and what they list.

docs/configs.md describes the sections. A set that cannot be listed as training lists it is left
out with a notice that names its section, never in silence.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.collect.plan.config_values import (
    ConfigKeys,
    to_flag,
    to_image_size,
    to_path_text,
    to_texts,
)
from analysis.collect.plan.image_folder import walk_images
from analysis.errors import ImageError
from analysis.files.isolated import isolated
from analysis.language import _

AIGC = "data.aigc_aug"
_CSV_SETS = ("irish_glass_clover", "biomass_data")
_NEEDS_CSV = "irish_glass_clover"
_NAME_COLUMNS = ("image_path", "image_name", "image_file_name", "file_name", "filename", "image")
_DELIMITERS = (",", ";", "\t")
_DECISIVE = ("status", "image_id", "aug_name")
_SUCCESS = ("success", "succeeded", "ok", "done")


@dataclass(frozen=True)
class MixedSet:
    """One section of a config that adds images to the training part."""

    section: str
    """Dotted key."""
    root: Path
    csv: Path
    image_dir: Path
    """Where the names of the CSV are looked for first, then below `root`."""
    image_size: tuple[int, int] | None = None
    """Of the section's own, width and height; None where it has none."""
    types: tuple[str, ...] = ()
    """Of `data.aigc_aug`: the `aug_name` to take, all where empty."""

    def list_images(self, image_ids: set[str]) -> list[Path]:
        """Return the set's images in the order of its CSV.

        Args:
            image_ids: The main set's images in the training part; augmented images are those of
                them.

        Raises:
            ImageError: If the CSV cannot be read or has no column of image names.
        """
        named = dict.fromkeys(self._select(image_ids)) if self.section == AIGC else None
        names = list(named) if named is not None else list(self._select(image_ids))
        return [self._place(name) for name in names]

    def _select(self, image_ids: set[str]) -> Iterator[str]:
        augmented = self.section == AIGC
        for name, row in _read(str(self.csv)):
            if augmented and row.get("status", _SUCCESS[0]).lower() not in _SUCCESS:
                continue
            if augmented and row.get("image_id", "") and row["image_id"] not in image_ids:
                continue
            if self.types and row.get("aug_name") not in self.types:
                continue
            yield name

    def _place(self, name: str) -> Path:
        first, second = self.image_dir / name, self.root / name
        return second if second.is_file() and not first.is_file() else first


@isolated("further images of a CSV")
def _read(path_text: str) -> list[tuple[str, dict[str, str]]]:
    """Return the image name of every row that has one, and what decides whether it is taken."""
    path = Path(path_text)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            delimiter, column = _find_column(first, path)
            rows = [
                {str(key).strip(): str(value or "").strip() for key, value in row.items()}
                for row in csv.DictReader(file, delimiter=delimiter)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImageError(
            _("{csv} cannot be read ({error})").format(csv=path, error=error)
        ) from error
    return [
        (row[column], {key: row[key] for key in _DECISIVE if key in row})
        for row in rows
        if row.get(column)
    ]


def _find_column(header: str, path: Path) -> tuple[str, str]:
    for delimiter in _DELIMITERS:
        columns = [text.strip().strip('"') for text in header.split(delimiter)]
        for column in _NAME_COLUMNS:
            if column in columns:
                return delimiter, column
    raise ImageError(
        _("{path} has no column of image names ({name_columns})").format(
            path=path, name_columns=", ".join(_NAME_COLUMNS)
        )
    )


def read_mixed_sets(
    keys: ConfigKeys, data_root: Path, resolve: Callable[[str], Path]
) -> tuple[tuple[MixedSet, ...], tuple[str, ...]]:
    """Return the sets that a config switches on, and notices of those that are left out.

    Raises:
        ConfigError: If a value of a section is of the wrong kind.
    """
    sets: list[MixedSet] = []
    notices: list[str] = []
    if _is_on(keys, AIGC):
        folder = data_root / keys.read(f"{AIGC}.subdir", to_path_text, "nano_banana_pro/train")
        manifest = folder / keys.read(f"{AIGC}.manifest", to_path_text, "manifest.csv")
        wanted = keys.find(f"{AIGC}.types")
        types = (wanted,) if isinstance(wanted, str) else keys.read(f"{AIGC}.types", to_texts, ())
        sets.append(MixedSet(AIGC, folder, manifest, data_root, types=types))
    for section in (name for key in _CSV_SETS for name in (key, f"data.{key}")):
        if not _is_on(keys, section):
            continue
        root = _first(keys, section, ("root", "data_root", "dir"))
        if root is None:
            notices.append(
                _("{section} is enabled without a root: its images are left out").format(
                    section=section
                )
            )
            continue
        folder = resolve(root)
        table = _first(keys, section, ("csv", "csv_path", "train_csv"))
        if table is None and section.endswith(_NEEDS_CSV):
            notices.append(
                _("{section} is enabled without a csv: training appends nothing then").format(
                    section=section
                )
            )
            continue
        table = table or "data.csv"
        images = _first(keys, section, ("image_dir", "image_subdir", "images_dir", "image_folder"))
        size = keys.read(f"{section}.image_size", to_image_size, None)
        sets.append(MixedSet(section, folder, folder / table, folder / (images or "images"), size))
    notices += [
        notice for section in _other_sections(keys) for notice in _left_out(keys, section, resolve)
    ]
    return tuple(sets), tuple(notices)


def _is_on(keys: ConfigKeys, section: str) -> bool:
    value = keys.find(section)
    return isinstance(value, dict) and keys.read(f"{section}.enabled", to_flag, False)


def _first(keys: ConfigKeys, section: str, names: tuple[str, ...]) -> str | None:
    values = (keys.read(f"{section}.{name}", to_path_text, None) for name in names)
    return next((value for value in values if value is not None), None)


def _other_sections(keys: ConfigKeys) -> list[str]:
    """Return further sections that are on and have a root of their own."""
    known = {AIGC, *_CSV_SETS, *(f"data.{name}" for name in _CSV_SETS)}
    data = keys.find("data")
    sections: list[tuple[str, Any]] = [(str(name), item) for name, item in keys.file.values.items()]
    sections += [(f"data.{name}", item) for name, item in (data or {}).items()]
    return [
        name
        for name, item in sections
        if name not in known
        and isinstance(item, dict)
        and item.get("enabled") is True
        and isinstance(item.get("root"), str)
        and item["root"].strip()
    ]


def _left_out(keys: ConfigKeys, section: str, resolve: Callable[[str], Path]) -> Iterator[str]:
    folder = resolve(keys.read(f"{section}.root", to_path_text))
    try:
        count = _("{count} images below {fspath}").format(
            count=len(walk_images(folder)[0]), fspath=os.fspath(folder)
        )
    except ImageError:
        count = _("images below {folder}, which holds none here,").format(folder=folder)
    yield _(
        "{section} is enabled, but how training reads it is not known: {count} are left out"
    ).format(section=section, count=count)
