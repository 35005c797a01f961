"""The process of one job: wait for the device, run the command, note how it ended.

``python -m analysis.jobs.extractions.worker FOLDER ALIVE_FD`` is started at once for every job.
There is no scheduler: each worker waits until no earlier job for its device lives, in the order of
the job ids, and then holds the device's lock. The descriptor `ALIVE_FD` holds the lock on the
folder's `alive.lock`; it and the device's lock pass to the command, so that both stay held should
the worker alone be killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from analysis.collect.run.progress import Progress
from analysis.errors import PayloadError
from analysis.files.atomic import read_json, write_json
from analysis.files.locks import acquire_lock, is_locked
from analysis.files.processes import identify
from analysis.jobs.extractions.job import (
    ALIVE_FILE,
    CANCEL_FILE,
    COMMAND_FILE,
    EXIT_FILE,
    JOB_FILE,
    PREVIEW_FILE,
    PROGRESS_FILE,
    WORKER_FILE,
    JobState,
    has_written,
    read_log,
)
from analysis.payload.discovery import load_ref

POLL_INTERVAL_S = 0.2
GRACE_S = 10.0
"""How long a cancelled command may take to stop before it is killed."""

EXIT_CANCELLED = 130


class _StopRequest:
    """Whether the job was asked to stop, by a signal or, from another container, by a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._has_signal = False  # a flag, since a handler must not take locks
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._set)

    @property
    def is_set(self) -> bool:
        return self._has_signal or self._file.exists()

    def _set(self, _number: int, _frame: FrameType | None) -> None:
        self._has_signal = True


def run_job(folder: Path, alive_descriptor: int) -> JobState:
    """Run the job in `folder` to its end and return the final state."""
    stop = _StopRequest(folder / CANCEL_FILE)
    _note(folder / WORKER_FILE, identify(os.getpid()))
    asked = read_json(folder / JOB_FILE)
    assert asked is not None, f"{folder} is no job"
    ticket = Path(asked["queue"]) / folder.name
    try:
        device_descriptor = _wait_for_device(folder, ticket, stop, str(asked["device_label"]))
        if device_descriptor is None:
            return _end(folder, JobState.CANCELLED)
        began = time.monotonic()
        _report(folder, JobState.PREPARING, "Starting")
        code = _run_command(asked["command"], stop, folder, [alive_descriptor, device_descriptor])
        if code == 0 or has_written(asked, read_json(folder / PROGRESS_FILE) or {}):
            for file in folder.glob(f"{Path(PREVIEW_FILE).stem}.*"):
                file.unlink()  # the payload itself is there now
            return _end(folder, JobState.DONE, began=began)
        if stop.is_set or code == EXIT_CANCELLED:
            return _end(folder, JobState.CANCELLED, began=began)
        return _end(folder, JobState.FAILED, _explain(folder, code), began=began)
    finally:
        ticket.unlink(missing_ok=True)


def _wait_for_device(folder: Path, ticket: Path, stop: _StopRequest, device: str) -> int | None:
    """Return the descriptor of the device's lock, None if the job was asked to stop meanwhile."""
    before_last = -1
    while not stop.is_set:
        before = _count_earlier(ticket)
        if before == 0:
            descriptor = acquire_lock(ticket.parent / "device.lock", wait=False)
            if descriptor is not None:
                return descriptor
        if before != before_last:
            jobs = "an earlier job" if before <= 1 else f"{before} earlier jobs"
            _report(folder, JobState.WAITING, f"Waiting for {device}, behind {jobs}")
            before_last = before
        time.sleep(POLL_INTERVAL_S)
    return None


def _count_earlier(ticket: Path) -> int:
    """Count the living jobs with an earlier ticket, and drop the tickets of dead ones."""
    count = 0
    for other in sorted(ticket.parent.iterdir()):
        if other.name >= ticket.name or other.suffix == ".lock":
            continue
        with contextlib.suppress(OSError):
            if is_locked(other / ALIVE_FILE):
                count += 1
            else:
                other.unlink()
    return count


def _run_command(
    command: list[str], stop: _StopRequest, folder: Path, descriptors: list[int]
) -> int:
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=descriptors)
    _note(folder / COMMAND_FILE, identify(child.pid))
    deadline: float | None = None
    while child.poll() is None:
        if stop.is_set and deadline is None:
            child.terminate()
            deadline = time.monotonic() + GRACE_S
        if deadline is not None and time.monotonic() > deadline:
            child.kill()  # its own children (image decoders) end when their parent is gone
        time.sleep(POLL_INTERVAL_S)
    return child.returncode


def _report(folder: Path, state: JobState, message: str) -> None:
    known: dict[str, Any] = read_json(folder / JOB_FILE) or {}
    progress = Progress(state=state.value, message=message, total=int(known.get("total") or 0))
    _note(folder / PROGRESS_FILE, asdict(progress))


def _end(
    folder: Path, state: JobState, error: str | None = None, *, began: float | None = None
) -> JobState:
    """Note how the job ended; `began` is the monotonic clock when its command was started."""
    asked, progress = (read_json(folder / name) or {} for name in (JOB_FILE, PROGRESS_FILE))
    end: dict[str, Any] = {"state": state.value, "error": error}
    if state is JobState.DONE:
        end["adapter_error"] = _adapter_error(Path(str(asked.get("output"))))
    if began is not None:
        end["ran_seconds"] = time.monotonic() - began
    seconds = time.monotonic() - float(asked.get("clock", "nan"))
    if not _note(folder / EXIT_FILE, {**end, "finished": time.time(), "seconds": seconds}):
        # A full disk: the progress file has room for it.
        _note(folder / PROGRESS_FILE, progress | end)
    return state


def _adapter_error(output: Path) -> str | None:
    """Return why a payload holds no adapter although one was asked for."""
    try:
        return load_ref(output).facts.lora_error
    except PayloadError:
        return None


def _note(path: Path, value: Mapping[str, Any]) -> bool:
    """Write a JSON file, or return False: a disk that is full for now must not end the worker."""
    try:
        write_json(path, value)
    except OSError:
        return False
    return True


def _explain(folder: Path, code: int) -> str:
    reported = (read_json(folder / PROGRESS_FILE) or {}).get("error")
    if reported:
        return str(reported)
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory, or killed by hand)" if name == "SIGKILL" else ""
        return f"The extraction was ended by {name}{hint}."
    return read_log(folder, 1) or f"The extraction ended with exit code {code} and no message."


if __name__ == "__main__":
    run_job(Path(sys.argv[1]), int(sys.argv[2]))
