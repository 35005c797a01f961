"""Ask for maps, which a process of its own computes, and say how far it is.

There is one process for all requests (`analysis.jobs.maps.worker`): maps are for looking, and must
not take the machine from an extraction. It computes what lies in its folder, oldest first, and then
waits for more for a while, since starting takes longer than a picture.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from analysis.errors import ConfigError
from analysis.files.atomic import read_json, replace_file, write_json
from analysis.files.locks import acquire_lock, is_locked
from analysis.files.processes import identify, send_signal
from analysis.files.read_only import is_read_only, refuse_if_read_only
from analysis.files.writing import make_folder, touch_file
from analysis.jobs.background import read_last_lines, start_background
from analysis.jobs.limits import GRACE_S, QUIET_MARK, QUIET_S
from analysis.jobs.maps.folder import (
    ADAPTER_FILE,
    ALIVE_FILE,
    LOG_FILE,
    PROCESS_FILE,
    list_requests,
    progress_file,
    request_file,
    runs_folder,
    stop_file,
)
from analysis.jobs.maps.request import Arm, MapRequest
from analysis.language import _

_children: list[subprocess.Popen[bytes]] = []  # kept to be reaped


class RunState(StrEnum):
    """What has become of a request."""

    WAITING = "waiting"
    """The process starts, or computes something else."""
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True)
class Run:
    """A request as it was when somebody looked."""

    state: RunState
    done: int
    total: int
    """Maps to compute: pictures times networks; 0 before it has begun."""
    message: str
    error: str | None
    """Why it failed; None otherwise."""

    @property
    def is_live(self) -> bool:
        """Return whether more is to be expected."""
        return self.state in (RunState.WAITING, RunState.RUNNING, RunState.STOPPING)


def find_run(request: MapRequest) -> Run | None:
    """Return how far a request is; None where nobody asked, or its results were forgotten since.

    Whoever looks also ends a process that does not stop, and starts one for those who wait behind.
    """
    folder = runs_folder()
    if not is_read_only():
        _end_hanging(folder)
    progress = read_json(progress_file(folder, request.key))
    asked = request_file(folder, request.key).exists()
    stop = stop_file(folder, request.key).exists()
    if not asked and progress is None and not stop:
        return None
    progress, error = progress or {}, None
    is_behind = not progress and not stop and bool(_list_begun(folder))  # served when that ended
    if asked and (is_locked(folder / ALIVE_FILE) or is_behind):
        begun = RunState.RUNNING if progress else RunState.WAITING
        state = RunState.STOPPING if stop else begun
    elif not request.missing():
        state = RunState.DONE
    elif stop:
        state = RunState.STOPPED
    elif progress.get("state") == "done":
        return None
    else:
        state, error = RunState.FAILED, str(progress.get("error") or _last_line(folder / LOG_FILE))
    message = str(progress.get("message") or _describe_queue(folder, request.key))
    done, total = (int(progress.get(key) or 0) for key in ("done", "total"))
    return Run(state, done, total, message, error)


def start_run(request: MapRequest) -> None:
    """Ask for what is missing, unless that is under way; return at once.

    Raises:
        ConfigError: If the server is read-only, or nothing can be written.
    """
    refuse_if_read_only()
    folder = runs_folder()
    try:
        make_folder(folder, 0o700)
        for path in (progress_file(folder, request.key), stop_file(folder, request.key)):
            path.unlink(missing_ok=True)
        with replace_file(request_file(folder, request.key)) as file:
            file.write(request.to_json().encode())
        _ensure_process(folder)
    except OSError as error:
        raise ConfigError(
            _("{folder}: the maps cannot be kept there ({strerror}).").format(
                folder=folder, strerror=error.strerror or error
            )
        ) from error


def prepare_run(request: MapRequest) -> None:
    """Have a process ready for when the request is made; where that fails, it starts then."""
    if is_read_only():
        return
    folder = runs_folder()
    try:
        make_folder(folder, 0o700)
        if Arm.ADAPTER in request.arms:
            touch_file(folder / ADAPTER_FILE)
        _ensure_process(folder)
    except OSError:
        return


def stop_run(request: MapRequest) -> None:
    """Ask for no more maps of a request; what has been computed is kept. Return at once.

    Raises:
        ConfigError: If the server is read-only, or nothing can be written.
    """
    refuse_if_read_only()
    folder = runs_folder()
    try:
        touch_file(stop_file(folder, request.key))
        if not progress_file(folder, request.key).exists():  # has not begun
            request_file(folder, request.key).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            _("{folder}: cannot be written ({strerror}).").format(
                folder=folder, strerror=error.strerror or error
            )
        ) from error


def _end_hanging(folder: Path) -> None:
    """Kill a process that should have stopped; start another where requests wait behind a dead one.

    The request that it had begun is not tried again: it may be what ended it.
    """
    begun = _list_begun(folder)
    process = read_json(folder / PROCESS_FILE) or {}
    for path in begun:
        began = read_json(progress_file(folder, path.stem)) or {}
        with contextlib.suppress(OSError):
            asked = stop_file(folder, path.stem).stat().st_mtime
            # Its own process, not the one that has taken its place and notes how it ended.
            is_over = began.get("state") in ("done", "failed", "cancelled")
            is_its_own = began.get("pid") == process.get("pid") and not is_over
            if time.time() - asked > GRACE_S and is_its_own:
                send_signal(process, signal.SIGKILL, named=str(folder))
    if begun and len(list_requests(folder)) > len(begun):
        with contextlib.suppress(OSError):
            _ensure_process(folder)


def _list_begun(folder: Path) -> list[Path]:
    """Return the requests that are computed, or were when their process died."""
    return [path for path in list_requests(folder) if progress_file(folder, path.stem).exists()]


def _ensure_process(folder: Path) -> None:
    """Start the process that serves a folder, unless it lives."""
    alive = acquire_lock(folder / ALIVE_FILE, wait=False)
    while alive is None:
        if is_locked(folder / ALIVE_FILE):
            return
        alive = acquire_lock(folder / ALIVE_FILE, wait=False)  # somebody had only asked
    try:
        child = start_background("analysis.jobs.maps.worker", folder, alive, folder / LOG_FILE)
        write_json(folder / PROCESS_FILE, identify(child.pid))
    finally:
        os.close(alive)
    _children[:] = [child for child in _children if child.poll() is None] + [child]


def _describe_queue(folder: Path, key: str) -> str:
    before = [path.stem for path in list_requests(folder)]
    place = before.index(key) if key in before else 0
    return (
        _("waiting for {place} other request(s)").format(place=place)
        if place
        else _("starting the process")
    )


def _last_line(log: Path) -> str:
    lines = read_last_lines(log, 100).splitlines()
    if any(line.startswith(QUIET_MARK) for line in lines):
        return _("It did not move on for {quiet_s:g} h and was ended. Ask again.").format(
            quiet_s=QUIET_S / 3600
        )
    if lines:
        return lines[-1]
    return _("The process ended without a message, as one does that is killed. Ask again.")
