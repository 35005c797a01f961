"""The folder of the processes that summarise payloads: request, locks, logs, payloads at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.files.cache_folder import cache_folder
from analysis.payload.fingerprint import Fingerprint

WORKERS = 4
"""Processes at most; each reads one payload at a time."""

REQUEST_FILE = "request.json"


def work_folder() -> Path:
    """Return the folder of request, locks and logs."""
    return cache_folder() / "summaries"


def lock_path(folder: Path, place: int) -> Path:
    """Return the file that is locked while the process of this place lives."""
    return folder / f"alive-{place}.lock"


def at_hand_path(folder: Path, place: int) -> Path:
    """Return the file that names the payload which the process of a place reads now."""
    return folder / f"at-hand-{place}.json"


def to_fingerprint(value: Any) -> Fingerprint:
    """Return a fingerprint that was stored as JSON."""
    path, size, mtime_ns = value
    return str(path), int(size), int(mtime_ns)
