"""Scores in a small file beside a version: what its training, or its evaluation, wrote down.

`metrics.json` (an object of numbers) or `metrics.csv` (a header, then rows; the last one counts) in
the folder of the version: the one that holds `feature_stats`, or the one above where that is
`train_all`. Files are read as if a stranger had written them: what is no number is left out.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.files.isolated import isolated
from analysis.files.own_state import read_small

MAX_BYTES = 1_000_000
MAX_METRICS = 50
MAX_NAME = 60
NAMES = ("metrics.json", "metrics.csv")


def read_metrics(payload: Path) -> dict[str, float]:
    """Return the numbers of the metrics file beside a payload, by name; empty where there is none.

    Args:
        payload: Path of the `.pt`, in its folder `feature_stats`.
    """
    return _read(str(payload))


@isolated("metrics")
def _read(payload: str) -> dict[str, float]:
    folder = Path(payload).parent.parent
    folders = [folder, folder.parent] if folder.name == "train_all" else [folder]
    for path in (place / name for place in folders for name in NAMES):
        try:
            text = read_small(path, MAX_BYTES).decode()
            found = _read_json(text) if path.suffix == ".json" else _read_csv(text)
        except (OSError, ValueError, RecursionError, csv.Error):
            continue
        kept = list(_numbers(found))[:MAX_METRICS]
        if kept:
            return dict(kept)
    return {}


def _read_json(text: str) -> Mapping[str, Any]:
    content = json.loads(text)
    return content if isinstance(content, dict) else {}


def _read_csv(text: str) -> Mapping[str, Any]:
    rows = list(csv.DictReader(io.StringIO(text)))
    return rows[-1] if rows else {}


def _numbers(found: Mapping[Any, Any]) -> Iterator[tuple[str, float]]:
    for name, value in found.items():
        if not isinstance(name, str) or isinstance(value, bool):
            continue
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            continue
        printable = "".join(letter for letter in name if letter.isprintable()).strip()[:MAX_NAME]
        if math.isfinite(number) and printable:
            yield printable, number
