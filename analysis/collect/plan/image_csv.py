"""Read the CSV of a training set into one (image id, path) per image.

The CSIRO long format has one row per image and target, `sample_id` = `<image>__<target>`; any CSV
with a column `image_path` works, also with semicolons or tabs in place of commas. Rows of one
image merge; one file under two ids is two images.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from analysis.errors import ImageError
from analysis.files.isolated import isolated
from analysis.files.roots import is_below
from analysis.language import _

NO_VALUE = {"", "nan", "na", "n/a", "null", "none"}
"""Texts, in lower case, that stand for a missing value."""
_LONGEST_HEADER = 100_000
"""Characters."""


@dataclass
class _Table:
    """A CSV folded to one item per image."""

    targets: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """Per (image id, relative path), the names of the targets that have a value."""
    has_targets: bool = False


def read_image_csv(
    path: Path, target_order: Sequence[str], root: Path | None = None
) -> tuple[list[tuple[str, str]], int]:
    """Return the sorted (image id, path) of a CSV's images, and how many were left out.

    Left out are images without a value for a target of `target_order`, where the CSV has a column
    `target_name`. `root` is `data.root`, as in `read_rows`.

    Raises:
        ImageError: If the file cannot be read, has no column `image_path`, a row without a path
            or with a wrong number of fields, or no image is left.
    """
    images, left_out = _read_images(
        str(path), list(target_order), None if root is None else str(root)
    )
    return [(image_id, relative) for image_id, relative in images], left_out


@isolated("images of a CSV")
def _read_images(
    path_text: str, target_order: Sequence[str], root: str | None
) -> tuple[Sequence[Sequence[str]], int]:
    path, table = Path(path_text), _Table()
    for key, row in read_rows(path, None if root is None else Path(root)):
        names = table.targets.setdefault(key, set())
        if "target_name" in row:
            table.has_targets = True
            if "target" not in row or row["target"].strip().lower() not in NO_VALUE:
                names.add(row["target_name"])
    if not table.targets:
        raise ImageError(
            _("data.train_csv {path} has no rows; expected one or more per image").format(path=path)
        )
    needed = set(target_order) if table.has_targets else set()
    kept = [image for image, names in table.targets.items() if needed <= names]
    if not kept:
        there = ", ".join(sorted(set().union(*table.targets.values()))[:10]) or _(
            "none with a value"
        )
        raise ImageError(
            _(
                "No image of {path} has all targets of data.target_order "
                "({target_order}); its targets are: {there}"
            ).format(path=path, target_order=", ".join(target_order), there=there)
        )
    return sorted(kept), len(table.targets) - len(kept)


def read_rows(
    path: Path, root: Path | None = None
) -> Iterator[tuple[tuple[str, str], dict[str, str]]]:
    """Yield the (image id, relative path) of every row of a CSV, and the row by column.

    Rows without any text are left out, as pandas does when it reads the CSV for training. Errors
    quote the file's first row only where the file is below `root`: a config of somebody else may
    name any file of this machine.

    Raises:
        ImageError: If the file cannot be read, has no column `image_path`, or a row without a path
            or with a wrong number of fields.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            delimiter = _find_delimiter(file.readline(_LONGEST_HEADER))
            file.seek(0)
            rows = csv.reader(file, delimiter=delimiter)
            yield from _read_rows(path, rows, _may_quote(path, root))
    except FileNotFoundError as error:
        raise ImageError(_describe_absent(path, root)) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ImageError(
            _("data.train_csv {path} cannot be read: {error}").format(path=path, error=why)
        ) from error


def _find_delimiter(header: str) -> str:
    """Return what separates the columns: a comma, or what spreadsheets write in its place."""
    for delimiter in (",", ";", "\t"):
        if "image_path" in [text.strip().strip('"') for text in header.split(delimiter)]:
            return delimiter
    return ","


def _describe_absent(path: Path, root: Path | None) -> str:
    """Return that a CSV is not there, with its neighbours where they may be named."""
    if not _may_quote(path, root) or not path.parent.is_dir():
        return _(
            "data.train_csv {path} cannot be read: there is no such file. "
            "Correct data.train_csv in the config"
        ).format(path=path)
    names = sorted(each.name for each in path.parent.glob("*.csv"))[:10]
    return _(
        "data.train_csv {path} cannot be read: there is no such file; its folder holds {names}. "
        "Correct data.train_csv in the config"
    ).format(path=path, names=", ".join(names) or _("no .csv file"))


def _may_quote(path: Path, root: Path | None) -> bool:
    try:
        return root is not None and is_below(path.resolve(), [root.resolve()])
    except (OSError, RuntimeError):
        return False


def _read_rows(
    path: Path, rows: Iterator[list[str]], quoted: bool
) -> Iterator[tuple[tuple[str, str], dict[str, str]]]:
    header = [name.strip() for name in next(rows, [])]
    if "image_path" not in header:
        columns = (
            _("; its columns are: {header}").format(header=", ".join(header[:20]) or "none")
            if quoted
            else ""
        )
        raise ImageError(
            _("data.train_csv {path} has no column image_path{columns}").format(
                path=path, columns=columns
            )
        )
    for number, fields in enumerate(rows, start=2):
        if not any(text.strip() for text in fields):
            continue
        if len(fields) != len(header):
            raise ImageError(
                _(
                    "data.train_csv {path}, row {number}: {count} fields; expected "
                    "{count_2} as in its first row"
                ).format(path=path, number=number, count=len(fields), count_2=len(header))
            )
        row = dict(zip(header, fields, strict=True))
        text = row["image_path"].strip()
        if not text or "\0" in text:
            raise ImageError(
                _("data.train_csv {path}, row {number}: image_path is {text!r}").format(
                    path=path, number=number, text=text
                )
            )
        relative = _tidy(text)
        yield (_read_id(row, relative), relative), row


def _read_id(row: Mapping[str, str], relative: str) -> str:
    """Return the image id: `sample_id` without its target, `image_id`, or the path."""
    if "sample_id" not in row:
        return row.get("image_id", relative)
    sample, target = row["sample_id"], row.get("target_name")
    if target is not None and sample.endswith("__" + target):
        return sample[: -len(target) - 2]
    return sample.rpartition("__")[0] or sample


def _tidy(text: str) -> str:
    """Write a path in one way, so that `./a.jpg` and `a.jpg` are one image."""
    return os.path.normpath(text) if "//" in text or "./" in text else text
