"""Start the processes that summarise many payloads, unless they run already."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from analysis.files.atomic import MAX_JSON, replace_text
from analysis.files.locks import acquire_lock, is_locked
from analysis.files.own_state import read_small
from analysis.files.writing import make_folder
from analysis.jobs.background import start_background
from analysis.jobs.summaries.folder import (
    REQUEST_FILE,
    WORKERS,
    at_hand_path,
    lock_path,
    to_fingerprint,
    work_folder,
)
from analysis.jobs.summaries.make import save_probe_problem, save_problem
from analysis.payload.fingerprint import Fingerprint

FEW = 8
"""Payloads that are not worth a second process, which takes seconds to start."""

RETRY_SECONDS = 60
"""After processes that stored nothing, as where the disk is full."""

INTERRUPTED = (
    "Reading this file ended the process that summarised it, perhaps for want of memory. Open the "
    "version itself to see what is wrong, or extract it again."
)

_children: list[subprocess.Popen[bytes]] = []  # kept to be reaped
_logger = logging.getLogger(__name__)


def start_missing(
    missing: Sequence[Fingerprint],
    baseline: Fingerprint | None,
    unprobed: Sequence[Fingerprint] = (),
) -> None:
    """Summarise payloads in the background; what runs already is left to end first.

    Args:
        missing: Fingerprints of the payloads, the most wanted first.
        baseline: Of what they are compared with; None for nothing.
        unprobed: Fingerprints of payloads whose vectors are probed after that.
    """
    if not (missing or unprobed) or is_running():
        return
    folder = work_folder()
    ended = _note_interrupted(folder, baseline)
    missing = [file for file in missing if file not in ended]
    unprobed = [file for file in unprobed if file not in ended]
    if not (missing or unprobed):
        return
    number = max(1, min(WORKERS, os.cpu_count() or 1, -(-len(missing) // FEW)))
    try:
        make_folder(folder, 0o700)
        text = json.dumps({"files": missing, "baseline": baseline, "probes": unprobed})
        if _is_recent(folder / REQUEST_FILE, text):
            return
        replace_text(folder / REQUEST_FILE, text)
        for place in range(number):
            _start(folder, place, number)
    except OSError as error:
        _logger.warning("Payloads cannot be summarised in the background: %s", error)


def is_running() -> bool:
    """Return whether payloads are being summarised."""
    _children[:] = [child for child in _children if child.poll() is None]
    return any(is_locked(lock_path(work_folder(), place)) for place in range(WORKERS))


def _is_recent(path: Path, text: str) -> bool:
    """Return whether the very same was asked for a moment ago: its processes ended in vain."""
    try:
        age = time.time() - path.stat().st_mtime
        return age < RETRY_SECONDS and read_small(path, MAX_JSON).decode() == text
    except (OSError, ValueError):
        return False


def _note_interrupted(folder: Path, baseline: Fingerprint | None) -> set[Fingerprint]:
    """Store that the payloads at hand ended their processes, lest they are tried for ever."""
    found: set[Fingerprint] = set()
    for place in range(WORKERS):
        path = at_hand_path(folder, place)
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            at_hand = json.loads(read_small(path, MAX_JSON))
            is_probe = isinstance(at_hand, dict)
            file = to_fingerprint(at_hand["probe"] if is_probe else at_hand)
            path.unlink()
            if is_probe:
                save_probe_problem(file, INTERRUPTED)
            else:
                save_problem(file, baseline, INTERRUPTED)
            found.add(file)
    return found


def _start(folder: Path, place: int, number: int) -> None:
    lock = acquire_lock(lock_path(folder, place), wait=False)
    if lock is None:
        return
    try:
        module = "analysis.jobs.summaries.worker"
        log = folder / f"log-{place}.txt"
        shares = [str(place), str(number)]
        child = start_background(module, folder, lock, log, shares, confined=True)
        _children.append(child)
    finally:
        os.close(lock)
