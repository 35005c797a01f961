"""Read the CSV of a training set into one (image id, path) per image.

The CSIRO long format has one row per image and target, `sample_id` = `<image>__<target>`; any CSV
with a column `image_path` works. Rows of one image merge; one file under two ids is two images.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from analysis.errors import ImageError

_NO_VALUE = {"", "nan", "na", "n/a", "null", "none"}


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


def read_image_csv(path: Path, target_order: Sequence[str]) -> tuple[list[tuple[str, str]], int]:
    """Return the sorted (image id, path) of a CSV's images, and how many were left out.

    Left out are images without a value for a target of `target_order`, where the CSV has a column
    `target_name`.

    Raises:
        ImageError: If the file cannot be read, has no column `image_path`, a row without a path
            or with a wrong number of fields, or no image is left.
    """
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
