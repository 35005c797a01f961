"""The columns of a training CSV as one value per image: numeric targets and categories.

In the long format each `target_name` gives a target. Every other column whose rows agree within an
image is a target if all its values are numbers, and a category if they are texts that some images
share. Columns that only name the image (ids, paths) are neither.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from analysis.collect.plan.image_csv import NO_VALUE, read_rows
from analysis.errors import ConfigError
from analysis.files.isolated import isolated
from analysis.language import _

MOST_CATEGORIES = 1000
"""Different values of a column that is kept as a category."""
MOST_COLUMNS = 200
MOST_TEXT = 200
"""Characters of a category's value."""
NAMES = ("image_path", "sample_id", "image_id", "target_name")
"""Columns that say which image or target a row is about; in the long format `target` too."""

T = TypeVar("T")
ImageKey = tuple[str, str]
"""Image id and relative path, as in `image_csv.read_image_csv`."""


@dataclass(frozen=True)
class ImageColumns:
    """What a CSV says about the images of a list, in the order of the list."""

    targets: dict[str, list[float]]
    """By name, one number per image; NaN where the CSV has none."""
    categories: dict[str, list[str]]
    """By name, one text per image; empty where the CSV has none."""


def read_values(path: Path, images: Sequence[ImageKey], column: str) -> list[str]:
    """Return one column's value for every image, for grouping.

    Raises:
        ConfigError: If there is no such column, or an image has no value or several.
        ImageError: If the CSV cannot be read.
    """
    texts = {
        (image_id, relative): set(values)
        for image_id, relative, values in _read_column(str(path), column)
    }
    for key in images:
        values = texts.get(key, set())
        if len(values) != 1 or next(iter(values)).lower() in NO_VALUE:
            found = (
                _("the values {values}").format(values=", ".join(sorted(values)[:5]))
                if len(values) > 1
                else _("no value")
            )
            raise ConfigError(
                _(
                    "analysis.group_by: image {key_2} has {found} in the column "
                    "{column} of {path}; each image needs exactly one"
                ).format(key_2=key[1], found=found, column=column, path=path)
            )
    return [next(iter(texts[key])) for key in images]


@isolated("column of a CSV")
def _read_column(path: str, column: str) -> list[tuple[str, str, list[str]]]:
    """Return the id, the path and the different values of every image."""
    texts: dict[ImageKey, set[str]] = {}
    for key, row in read_rows(Path(path)):
        if column not in row:
            raise ConfigError(
                _(
                    "analysis.group_by: {path} has no column {column!r}; its columns are: {list}"
                ).format(path=path, column=column, list=", ".join(list(row)[:20]))
            )
        texts.setdefault(key, set()).add(row[column].strip())
    return [(image_id, relative, sorted(values)) for (image_id, relative), values in texts.items()]


def read_labels(
    path: Path, images: Sequence[ImageKey], columns: Sequence[str], root: Path | None = None
) -> list[list[str]] | None:
    """Return the columns' first value of every image, for a split; None without such a column.

    A missing value is the text nan, as pandas has it.

    Raises:
        ImageError: If the CSV cannot be read.
    """
    firsts = _read_firsts(str(path), list(columns), None if root is None else str(root))
    if firsts is None:
        return None
    missing = ["nan"] * len(columns)
    rows = [firsts.get(image_id, missing) for image_id, _unused in images]
    return [list(column) for column in zip(*rows, strict=True)]


@isolated("labels of a CSV")
def _read_firsts(
    path: str, columns: Sequence[str], root: str | None
) -> dict[str, list[str]] | None:
    """Return the columns' first value of every image by its id; None without such a column."""
    firsts: dict[str, list[str]] = {}
    for (image_id, _unused), row in read_rows(Path(path), None if root is None else Path(root)):
        if any(column not in row for column in columns):
            return None
        labels = firsts.setdefault(image_id, ["nan"] * len(columns))
        for place, column in enumerate(columns):
            text = row[column].strip()
            if labels[place] == "nan" and text.lower() not in NO_VALUE:
                labels[place] = text
    return firsts


def read_columns(path: Path, images: Sequence[ImageKey]) -> ImageColumns:
    """Return the targets and categories of the images.

    Raises:
        ImageError: If the CSV cannot be read.
    """
    places = {key: place for place, key in enumerate(images)}
    columns: dict[str, list[str]] = {}
    mixed: set[str] = set()
    measured: dict[str, list[float]] = {}
    for key, row in read_rows(path):
        place = places.get(key)
        if place is None:
            continue
        for name, text in row.items():
            long = name == "target" and "target_name" in row
            if name in NAMES or long or not name or name in mixed:
                continue
            values = columns.setdefault(name, [""] * len(images))
            text = "" if text.strip().lower() in NO_VALUE else text.strip()
            if text and values[place] not in ("", text):
                mixed.add(name)
            values[place] = text or values[place]
        if row.get("target_name") and "target" in row:
            numbers = measured.setdefault(row["target_name"].strip(), [math.nan] * len(images))
            numbers[place] = _to_number(row["target"])
    targets, categories = dict(measured), {}
    for name, values in columns.items():
        present = [text for text in values if text]
        if name in mixed or name in targets or not present:
            continue
        if _are_numbers(present):
            targets[name] = [_to_number(text) for text in values]
        elif _are_categories(present):
            categories[name] = values
    return ImageColumns(_first(targets), _first(categories))


def _first(columns: dict[str, list[T]]) -> dict[str, list[T]]:
    return dict(list(columns.items())[:MOST_COLUMNS])


def _to_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _are_numbers(texts: Iterable[str]) -> bool:
    return all(not math.isnan(_to_number(text)) for text in texts)


def _are_categories(texts: Sequence[str]) -> bool:
    different = set(texts)
    return (
        len(different) <= MOST_CATEGORIES
        and len(different) < len(texts)
        and all(len(text) <= MOST_TEXT for text in different)
    )
