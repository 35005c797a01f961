"""The facts in the JSON beside a payload, read as if a stranger had written it.

Every fact is optional. One that is missing, of another type or absurdly long reads as None, and a
JSON that belongs to another file than the `.pt` beside it is not read at all.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from analysis.files.own_state import read_small
from analysis.payload.contract.kinds import MAX_COUNT
from analysis.payload.contract.payload import SIDECAR

MAX_BYTES = 256 * 1024
"""A sidecar is about one kilobyte; more is not one."""

MAX_TEXT = 300
STALE_SECONDS = 60
"""A copy may carry new file times, but writes the two files about together."""


@dataclass(frozen=True)
class Sidecar:
    """What a payload says of itself in its JSON; None where it does not."""

    known: bool = False
    """Whether there is a JSON that describes this very file."""
    version: str | None = None
    train_all: bool | None = None
    backbone: str | None = None
    used_lora: bool | None = None
    lora_error: str | None = None
    num_images: int | None = None
    num_layers: int | None = None
    embedding_dim: int | None = None
    created: datetime | None = None
    config_name: str | None = None
    device_name: str | None = None
    precision: str | None = None
    split: str | None = None
    seconds: float | None = None
    images_per_second: float | None = None
    warnings: int | None = None
    weights_sha256: str | None = None
    adapter_sha256: str | None = None
    dataset_fingerprint: str | None = None
    request_fingerprint: str | None = None


def read_sidecar(payload: Path, state: os.stat_result) -> Sidecar | None:
    """Read `<stem>.json` beside the payload; None where there is none that describes this file.

    Args:
        payload: Path of the `.pt`.
        state: Its `stat`, with which the JSON's `size` and `mtime_ns` must agree.
    """
    path = payload.with_suffix(".json")
    try:
        about = path.lstat()
    except (OSError, ValueError):
        return None
    # A link could lead anywhere, and whoever opens a pipe waits for a writer.
    if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_BYTES:
        return None
    identity = about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns
    return _read(path, identity, about.st_mtime, (state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=4096)
def _read(
    path: Path, identity: tuple[int, ...], written: float, payload: tuple[int, int]
) -> Sidecar | None:
    """Read a sidecar, once for each that was written: lists ask for hundreds, again and again."""
    del identity  # part of the key only
    try:
        facts = json.loads(read_small(path, MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(facts, dict) or _is_stale(facts, payload, written):
        return None
    known = {field.name for field in fields(Sidecar)}
    read: dict[str, Any] = {
        name: _READERS[form.kind](facts.get(name))
        for name, form in SIDECAR.fields.items()
        if name in known
    }
    read["created"] = _date(facts.get("created"))
    return Sidecar(True, **read)


def _is_stale(facts: Mapping[str, Any], payload: tuple[int, int], written: float) -> bool:
    """Tell a JSON left over from an earlier payload at the same path, by its bytes and ns."""
    size, mtime_ns = payload
    if facts.get("size", size) != size:
        return True
    same_time = facts.get("mtime_ns", mtime_ns) == mtime_ns
    return not same_time and written < mtime_ns / 1e9 - STALE_SECONDS


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    printable = "".join(letter if letter.isprintable() else " " for letter in value[:MAX_TEXT])
    return " ".join(printable.split()) or None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _number(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < MAX_COUNT else None


def _amount(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and 0 <= value < MAX_COUNT else None


def _date(value: Any) -> datetime | None:
    try:
        date = datetime.fromisoformat(value)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


_READERS: Mapping[type, Callable[[Any], Any]] = {
    str: _text,
    bool: _flag,
    int: _number,
    float: _amount,
}
