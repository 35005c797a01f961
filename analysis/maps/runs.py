"""Compute maps in a process of its own, and say how far it is.

A run is a folder named by its request, so that whoever asks for the same joins it. Runs wait for
each other: maps are for looking, and must not take the machine from an extraction.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from analysis.errors import ConfigError
from analysis.jobs.devices import PACKAGE_ROOT
from analysis.jobs.job import read_json
from analysis.jobs.locks import acquire_lock, is_locked
from analysis.maps.request import MapRequest, maps_folder
from analysis.read_only import refuse_if_read_only

REQUEST_FILE = "request.json"
PROGRESS_FILE = "progress.json"
ALIVE_FILE = "alive.lock"
LOG_FILE = "log.txt"

_children: list[subprocess.Popen[bytes]] = []  # kept to be reaped


@dataclass(frozen=True)
class Run:
    """A run as it was when somebody looked."""

    folder: Path
    is_live: bool
    done: int
    total: int
    message: str
    error: str | None
    """Why it ended without its results; None while it lives or where it succeeded."""


def find_run(request: MapRequest) -> Run | None:
    """Return the run that computes this request, living or ended; None where there was none."""
    folder = _folder(request)
    if not (folder / REQUEST_FILE).exists():
        return None
    alive = is_locked(folder / ALIVE_FILE)  # asked first: what ends afterwards has noted its end
    progress = read_json(folder / PROGRESS_FILE) or {}
    error = None
    if not alive and request.missing():
        error = str(progress.get("error") or _last_line(folder / LOG_FILE))
    return Run(
        folder,
        alive,
        int(progress.get("done") or 0),
        int(progress.get("total") or 0),
        str(progress.get("message") or "starting"),
        error,
    )


def start_run(request: MapRequest) -> None:
    """Start computing what is missing, unless it is under way; return at once.

    Raises:
        ConfigError: If the server is read-only, or nothing can be written.
    """
    refuse_if_read_only()
    folder = _folder(request)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        alive = acquire_lock(folder / ALIVE_FILE, wait=False)
        if alive is None:
            return
        try:
            (folder / PROGRESS_FILE).unlink(missing_ok=True)
            (folder / REQUEST_FILE).write_text(request.to_json())
            with (folder / LOG_FILE).open("wb") as log:
                child = subprocess.Popen(
                    [sys.executable, "-m", "analysis.token_maps", str(folder)],
                    cwd=PACKAGE_ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[alive],  # held as long as the child lives, however it ends
                )
        finally:
            os.close(alive)
    except OSError as error:
        raise ConfigError(
            f"{folder}: the maps cannot be kept there ({error.strerror or error})."
        ) from error
    _children[:] = [child for child in _children if child.poll() is None] + [child]


def _folder(request: MapRequest) -> Path:
    return maps_folder() / "runs" / request.key


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace")[-4000:].strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "The process ended without a message."
