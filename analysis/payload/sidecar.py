"""The facts in the JSON beside a payload, read as if a stranger had written it.

Every fact is optional. One that is missing, of another type or absurdly long reads as None, and a
JSON that belongs to another file than the `.pt` beside it is not read at all.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analysis.errors import InputError
from analysis.files.atomic import read_json
from analysis.files.isolated import isolated
from analysis.files.own_state import read_small
from analysis.payload.contract.kinds import MAX_COUNT
from analysis.payload.contract.payload import SIDECAR

MAX_BYTES = 256 * 1024
"""A sidecar is about one kilobyte; more is not one."""

MAX_TEXT = 300
MAX_KEPT = 4_000
Key = tuple[str, tuple[int, int, int, int], tuple[int, int]]
"""Path of a JSON, what tells it from its successors, and size and time of its payload."""

SPEED_KEYS = frozenset(
    {"backbone", "image_size", "precision", "device", "device_name", "images_per_second", "created"}
)
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


_kept: dict[Key, Sidecar | None] = {}


def read_sidecar(payload: Path, state: os.stat_result) -> Sidecar | None:
    """Read `<stem>.json` beside the payload; None where there is none that describes this file.

    Args:
        payload: Path of the `.pt`.
        state: Its `stat`, with which the JSON's `size` and `mtime_ns` must agree.
    """
    return read_sidecars([(payload, state)])[0]


def read_sidecars(payloads: Sequence[tuple[Path, os.stat_result]]) -> list[Sidecar | None]:
    """Read the JSON beside each payload, as `read_sidecar`, together.

    What was read once is kept as long as the JSON and the payload stay the same files.
    """
    keys = [_identify(path, state) for path, state in payloads]
    asked = list(dict.fromkeys(key for key in keys if key is not None and key not in _kept))
    for key, facts in zip(asked, _ask(asked), strict=True):
        _kept[key] = None if facts is None else _build(facts)
    found = [None if key is None else _kept.get(key) for key in keys]
    while len(_kept) > MAX_KEPT:
        del _kept[next(iter(_kept))]
    return found


def read_speeds(payloads: Sequence[Path]) -> list[dict[str, Any]]:
    """Return what the JSON beside each payload says of its run's speed: `SPEED_KEYS` at most."""
    return _read_speeds([str(path.with_suffix(".json")) for path in payloads])


def _identify(payload: Path, state: os.stat_result) -> Key | None:
    """Return what a JSON and its payload are told from others by; None where it is not read."""
    path = payload.with_suffix(".json")
    try:
        about = path.lstat()
    except (OSError, ValueError):
        return None
    # A link could lead anywhere, and whoever opens a pipe waits for a writer.
    if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_BYTES:
        return None
    own = (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    return str(path), own, (state.st_size, state.st_mtime_ns)


def _ask(keys: Sequence[Key]) -> list[dict[str, Any] | None]:
    """Read the files together; where one of them ends the reader, each for itself."""
    if not keys:
        return []
    try:
        return _read_facts(list(keys))
    except InputError:
        pass
    found: list[dict[str, Any] | None] = []
    for key in keys:
        try:
            found += _read_facts([key])
        except InputError:
            found.append(None)
    return found


@isolated("sidecars")
def _read_facts(keys: Sequence[Key]) -> list[dict[str, Any] | None]:
    return [_read(Path(path), own, payload) for path, own, payload in keys]


def _read(path: Path, own: Sequence[int], payload: Sequence[int]) -> dict[str, Any] | None:
    """Return the facts of one JSON, of the right types; None where they are of another file."""
    try:
        facts = json.loads(read_small(path, MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(facts, dict) or _is_stale(facts, payload, written_ns=own[2]):
        return None
    known = {field.name for field in fields(Sidecar)}
    read: dict[str, Any] = {
        name: _READERS[form.kind](facts.get(name))
        for name, form in SIDECAR.fields.items()
        if name in known
    }
    created = _date(facts.get("created"))
    return read | {"created": None if created is None else created.isoformat()}


def _build(facts: Mapping[str, Any]) -> Sidecar:
    return Sidecar(True, **{**facts, "created": _date(facts["created"])})


@isolated("speeds")
def _read_speeds(paths: Sequence[str]) -> list[dict[str, Any]]:
    found = [read_json(Path(path)) or {} for path in paths]
    return [
        {
            key: value
            for key, value in facts.items()
            if key in SPEED_KEYS and len(repr(value)) <= MAX_TEXT
        }
        for facts in found
    ]


def _is_stale(facts: Mapping[str, Any], payload: Sequence[int], *, written_ns: int) -> bool:
    """Tell a JSON left over from an earlier payload at the same path."""
    size, mtime_ns = payload
    if facts.get("size", size) != size:
        return True
    same_time = facts.get("mtime_ns", mtime_ns) == mtime_ns
    return not same_time and written_ns < mtime_ns - STALE_SECONDS * 10**9


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
