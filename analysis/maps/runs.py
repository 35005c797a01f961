"""Compute maps in a process of its own, and say how far it is.

There is one process for each network (``runs/<network>/``), which computes the requests that lie in
its folder and then waits for more for a minute: loading takes longer than a picture. Processes of
several networks compute in turn; maps are for looking, and must not take the machine from an
extraction. A request has two files::

    <key>.json           what is asked for; removed when it has ended
    <key>.progress.json  `analysis.progress.Progress`
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from analysis.errors import ConfigError
from analysis.files import replace_file
from analysis.jobs.devices import PACKAGE_ROOT
from analysis.jobs.job import read_json
from analysis.jobs.locks import acquire_lock, is_locked
from analysis.maps.request import MapRequest, maps_folder
from analysis.read_only import refuse_if_read_only

ALIVE_FILE = "alive.lock"
LOG_FILE = "log.txt"

_children: list[subprocess.Popen[bytes]] = []  # kept to be reaped


@dataclass(frozen=True)
class Run:
    """A request as it was when somebody looked."""

    is_live: bool
    done: int
    total: int
    """Maps to compute: pictures times networks."""
    message: str
    error: str | None
    """Why it ended without its results; None while it lives or where it succeeded."""


def find_run(request: MapRequest) -> Run | None:
    """Return how far a request is; None where it was never asked for."""
    folder = run_folder(request)
    asked = (folder / f"{request.key}.json").exists()
    if not asked and not progress_file(folder, request.key).exists():
        return None
    alive = asked and is_locked(folder / ALIVE_FILE)
    progress = read_json(progress_file(folder, request.key)) or {}
    error = None
    if not alive and request.missing():
        error = str(progress.get("error") or _last_line(folder / LOG_FILE))
    return Run(
        alive,
        int(progress.get("done") or 0),
        int(progress.get("total") or 0),
        str(progress.get("message") or "starting"),
        error,
    )


def start_run(request: MapRequest) -> None:
    """Ask for what is missing, unless that is under way; return at once.

    Raises:
        ConfigError: If the server is read-only, or nothing can be written.
    """
    refuse_if_read_only()
    folder = run_folder(request)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        progress_file(folder, request.key).unlink(missing_ok=True)
        with replace_file(folder / f"{request.key}.json") as file:
            file.write(request.to_json().encode())
        alive = acquire_lock(folder / ALIVE_FILE, wait=False)
        if alive is None:
            return  # its process will find the request
        try:
            with (folder / LOG_FILE).open("wb") as log:
                child = subprocess.Popen(
                    [sys.executable, "-m", "analysis.maps.token_maps", str(folder)],
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


def run_folder(request: MapRequest) -> Path:
    """Return the folder of the process that computes a request."""
    return maps_folder() / "runs" / request.network_key


def progress_file(folder: Path, key: str) -> Path:
    """Return where the progress of a request is noted."""
    return folder / f"{key}.progress.json"


def list_requests(folder: Path) -> list[Path]:
    """Return the requests in a folder that have not ended, oldest first."""
    found = [path for path in folder.glob("*.json") if ".progress" not in path.suffixes]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace")[-4000:].strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "The process ended without a message. Ask again."
