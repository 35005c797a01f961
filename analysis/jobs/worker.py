"""The process of one job: wait for the device, run the command, note how it ended.

``python -m analysis.jobs.worker FOLDER ALIVE_FD`` is started at once for every job. There is no
scheduler: each worker waits until no earlier job for its device lives, in the order of the job
ids, and then holds the device's lock. The descriptor `ALIVE_FD` holds the lock on the folder's
`alive.lock`; it and the device's lock pass to the command, so that both stay held should the
worker alone be killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from analysis.jobs.job import (
    ALIVE_FILE,
    EXIT_FILE,
    JOB_FILE,
    PREVIEW_FILE,
    PROGRESS_FILE,
    JobState,
    read_job,
    read_json,
    write_json,
)
from analysis.jobs.locks import acquire_lock, is_locked
from analysis.progress import Progress

POLL_INTERVAL_S = 0.2
GRACE_S = 10.0
"""How long a cancelled command may take to stop before it is killed."""

EXIT_CANCELLED = 130


class _StopRequest:
    """Remember that the job was asked to stop; a flag, since a handler must not take locks."""

    def __init__(self) -> None:
        self.is_set = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._set)

    def _set(self, _number: int, _frame: FrameType | None) -> None:
        self.is_set = True


def run_job(folder: Path, alive_descriptor: int) -> JobState:
    """Run the job in `folder` to its end and return the final state."""
    stop = _StopRequest()
    asked = read_json(folder / JOB_FILE)
    assert asked is not None, f"{folder} is no job"
    ticket = Path(asked["queue"]) / folder.name
    try:
        device_descriptor = _wait_for_device(folder, ticket, stop, str(asked["device_label"]))
        if device_descriptor is None:
            return _end(folder, JobState.CANCELLED)
        _report(folder, JobState.PREPARING, "Starting")
        aside = _set_aside(Path(asked["output"])) if asked["replace"] else []
        code = _run_command(asked["command"], stop, folder, [alive_descriptor, device_descriptor])
        _settle(aside, keep=code == 0)
        if code == 0:
            for file in folder.glob(f"{Path(PREVIEW_FILE).stem}.*"):
                file.unlink()  # the payload itself is there now
            return _end(folder, JobState.DONE)
        if stop.is_set or code == EXIT_CANCELLED:
            return _end(folder, JobState.CANCELLED)
        return _end(folder, JobState.FAILED, _explain(folder, code))
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
            if is_locked(Path(other.read_text()) / ALIVE_FILE):
                count += 1
            else:
                other.unlink()
    return count


def _run_command(
    command: list[str], stop: _StopRequest, folder: Path, descriptors: list[int]
) -> int:
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=descriptors)
    deadline: float | None = None
    while child.poll() is None:
        if stop.is_set and deadline is None:
            child.terminate()
            deadline = time.monotonic() + GRACE_S
        if deadline is not None and time.monotonic() > deadline:
            child.kill()  # its own children (image decoders) end when their parent is gone
        time.sleep(POLL_INTERVAL_S)
    return child.returncode


def _set_aside(output: Path) -> list[tuple[Path, Path]]:
    """Copy what stands at `output`, which stays in place until the new one is complete.

    Returns:
        Pairs of the copy and the `.bak` that it becomes if the job succeeds.
    """
    pairs: list[tuple[Path, Path]] = []
    for file in (output, output.with_suffix(".json")):
        if file.exists():
            aside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
            shutil.copy2(file, aside)
            pairs.append((aside, file.with_name(f"{file.name}.bak")))
    return pairs


def _settle(pairs: list[tuple[Path, Path]], *, keep: bool) -> None:
    """Turn what was set aside into `.bak` files, or drop the copies."""
    for aside, backup in pairs:
        if keep:
            aside.replace(backup)
        else:
            aside.unlink(missing_ok=True)


def _report(folder: Path, state: JobState, message: str) -> None:
    known: dict[str, Any] = read_json(folder / JOB_FILE) or {}
    progress = Progress(state=state.value, message=message, total=int(known.get("total") or 0))
    write_json(folder / PROGRESS_FILE, asdict(progress))


def _end(folder: Path, state: JobState, error: str | None = None) -> JobState:
    end = {"state": state.value, "error": error, "finished": time.time()}
    write_json(folder / EXIT_FILE, end)
    return state


def _explain(folder: Path, code: int) -> str:
    reported = (read_json(folder / PROGRESS_FILE) or {}).get("error")
    if reported:
        return str(reported)
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory, or killed by hand)" if name == "SIGKILL" else ""
        return f"The extraction was ended by {name}{hint}."
    job = read_job(folder)
    last = job.read_log(1) if job else ""
    return last or f"The extraction ended with exit code {code} and no message."


if __name__ == "__main__":
    run_job(Path(sys.argv[1]), int(sys.argv[2]))
