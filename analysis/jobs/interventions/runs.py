"""Start an intervention in a process of its own, say how far it is, and stop it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from analysis.collect.interventions.request import InterventionRequest
from analysis.errors import ConfigError
from analysis.files.atomic import read_json, replace_text, write_json
from analysis.files.locks import acquire_lock, is_locked
from analysis.files.own_state import read_small
from analysis.files.processes import identify, send_signal
from analysis.files.read_only import is_read_only, refuse_if_read_only
from analysis.files.roots import allowed_roots
from analysis.files.writing import make_folder, touch_file
from analysis.jobs.background import start_background
from analysis.jobs.interventions.folder import (
    ALIVE_FILE,
    LOG_FILE,
    PROCESS_FILE,
    PROGRESS_FILE,
    REQUEST_FILE,
    STOP_FILE,
    run_folder,
)
from analysis.jobs.limits import GRACE_S, MEMORY_ENV, MEMORY_MARK, QUIET_MARK, QUIET_S
from analysis.language import _

MAX_LOG = 2**20
_children: list[subprocess.Popen[bytes]] = []  # kept to be reaped


class RunState(StrEnum):
    """What has become of a run."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class InterventionRun:
    """A run as it was when somebody looked."""

    state: RunState
    done: int
    total: int
    """Images; 0 before the network is loaded."""
    message: str
    error: str | None
    result: Path | None
    """The file of the result, once it is done."""


def find_run(
    payload: Path, request: InterventionRequest, images_dir: str | None = None
) -> InterventionRun | None:
    """Return how far a run is; None where nobody asked for it.

    Whoever looks also ends a run that was asked to stop and does not.
    """
    folder = run_folder(payload, request, images_dir)
    progress = read_json(folder / PROGRESS_FILE)
    if progress is None:
        return None
    state = str(progress.get("state"))
    lives = is_locked(folder / ALIVE_FILE)
    run_state = RunState(state) if state in ("done", "failed", "cancelled") else RunState.RUNNING
    error = progress.get("error")
    asked_to_stop = _seconds_since_stop(folder)
    if run_state is RunState.RUNNING and lives and asked_to_stop > GRACE_S and not is_read_only():
        send_signal(read_json(folder / PROCESS_FILE), signal.SIGKILL, named=str(folder))
    if run_state is RunState.RUNNING and not lives:
        run_state, error = RunState.FAILED, _explain_end(folder)
        if asked_to_stop > 0:
            run_state, error = RunState.CANCELLED, None
    output = progress.get("output")
    return InterventionRun(
        state=run_state,
        done=_whole(progress.get("done")),
        total=_whole(progress.get("total")),
        message=str(progress.get("message") or ""),
        error=None if error is None else str(error),
        result=Path(output) if run_state is RunState.DONE and isinstance(output, str) else None,
    )


def start_run(payload: Path, request: InterventionRequest, images_dir: str | None = None) -> None:
    """Start a run, unless it runs already.

    Raises:
        ConfigError: If the server is read-only or the run cannot be written down.
    """
    refuse_if_read_only()
    folder = run_folder(payload, request, images_dir)
    try:
        make_folder(folder, 0o700)
        lock = acquire_lock(folder / ALIVE_FILE, wait=False)
        if lock is None:
            return
        try:
            asked = {
                "payload": str(payload),
                "images_dir": images_dir,
                "request": request.to_json(),
                "roots": list(map(str, allowed_roots())),
            }
            (folder / STOP_FILE).unlink(missing_ok=True)
            replace_text(folder / REQUEST_FILE, json.dumps(asked))
            write_json(folder / PROGRESS_FILE, {"state": "preparing", "message": _("starting")})
            module = "analysis.jobs.interventions.worker"
            child = start_background(module, folder, lock, folder / LOG_FILE)
            write_json(folder / PROCESS_FILE, identify(child.pid))
        finally:
            os.close(lock)
    except OSError as error:
        raise ConfigError(
            _(
                "{folder}: the run cannot be written down ({strerror}). Make the "
                "folder writable, or set DASHBOARD_CACHE to another one."
            ).format(folder=folder, strerror=error.strerror or error)
        ) from error
    _children[:] = [other for other in _children if other.poll() is None] + [child]


def stop_run(payload: Path, request: InterventionRequest, images_dir: str | None = None) -> None:
    """Ask a run to stop; one that has ended is left as it is.

    Raises:
        ConfigError: If the server is read-only.
    """
    refuse_if_read_only()
    with contextlib.suppress(OSError):
        folder = run_folder(payload, request, images_dir)
        touch_file(folder / STOP_FILE)
        send_signal(read_json(folder / PROCESS_FILE), signal.SIGTERM, named=str(folder))


def _seconds_since_stop(folder: Path) -> float:
    """Return how long ago somebody asked the run to stop; 0 where nobody did."""
    try:
        return max(0.001, time.time() - (folder / STOP_FILE).stat().st_mtime)
    except OSError:
        return 0.0


def _explain_end(folder: Path) -> str:
    """Return why a process is gone that had not ended its run."""
    with contextlib.suppress(OSError):
        log = read_small(folder / LOG_FILE, MAX_LOG).decode(errors="replace")
        if QUIET_MARK in log:
            return _("It did not move on for {quiet_s:g} h and was ended. Run it again.").format(
                quiet_s=QUIET_S / 3600
            )
        if MEMORY_MARK in log:
            return _(
                "It held more than {most} of memory and was ended. Run it on fewer images, or "
                "start the server with a larger {variable}."
            ).format(most=log.rpartition(MEMORY_MARK)[2].splitlines()[0], variable=MEMORY_ENV)
    return _("Its process was killed. Run it again.")


def _whole(value: object) -> int:
    return value if type(value) is int else 0
