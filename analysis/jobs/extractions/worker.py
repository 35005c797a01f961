"""The process of one job: wait for the device, run the command, note how it ended.

``python -m analysis.jobs.extractions.worker FOLDER ALIVE_FD QUEUE ROOTS STANDBY_FD COMMAND...`` is
started at once for every job. What decides which program runs, and where it may write, is in these
arguments; the request is read from the job's folder and checked as if a stranger had written it.
`STANDBY_FD` is a socket to a process that is ready to carry out the command, or -1. A worker that
is started before its job is given the same later (`ready_worker`).

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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

from analysis.collect.plan.flags import parse_arguments
from analysis.collect.run.progress import Progress
from analysis.errors import ConfigError, InputError, PayloadError
from analysis.files.atomic import read_json, write_json
from analysis.files.locks import acquire_lock, is_locked
from analysis.files.processes import PACKAGE_ROOT, identify
from analysis.files.roots import ROOTS_ENV
from analysis.jobs.extractions.endings import tell
from analysis.jobs.extractions.forecast import confine
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
    read_job,
    read_log,
)
from analysis.jobs.extractions.standby_command import EXIT_UNKNOWN, StandbyCommand
from analysis.jobs.extractions.worker_request import READY, wait_for_job
from analysis.jobs.limits import (
    GRACE_S,
    QUIET_S,
    WATCH_S,
    max_private_memory,
    measure_private_memory,
)
from analysis.language import N_
from analysis.payload.discovery import load_ref

POLL_INTERVAL_S = 0.2
EXIT_CANCELLED = 130

EXIT_QUIET = 1000
"""No exit code of a process."""

EXIT_LARGE = 1002
"""No exit code of a process."""


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


def run_job(
    folder: Path,
    alive_descriptor: int,
    queue: Path,
    standby_descriptor: int,
    command: Sequence[str],
) -> JobState:
    """Run the job in `folder` to its end and return the final state.

    Args:
        folder: Of the job.
        alive_descriptor: Holds the lock that says that the job lives.
        queue: Folder in which the jobs for the device wait.
        standby_descriptor: Socket to a process that may carry out the command; -1 for none.
        command: The program to run; the arguments of the request follow.
    """
    stop = _StopRequest(folder / CANCEL_FILE)
    _note(folder / WORKER_FILE, identify(os.getpid()))
    asked = read_json(folder / JOB_FILE)
    assert asked is not None, f"{folder} is no job"
    ticket = queue / folder.name
    try:
        try:
            arguments = _build_arguments(folder, asked)
        except InputError as error:
            return _end(folder, JobState.FAILED, {"error": str(error)})
        device_descriptor = _wait_for_device(folder, ticket, stop, str(asked.get("device_label")))
        if device_descriptor is None:
            return _end(folder, JobState.CANCELLED)
        began = time.monotonic()
        _report(folder, JobState.PREPARING, N_("Starting"))
        descriptors = [alive_descriptor, device_descriptor]
        child = _start_command(command, arguments, folder, standby_descriptor, descriptors)
        code = _watch_command(child, stop, folder)
        if code == 0 or has_written(asked, read_json(folder / PROGRESS_FILE) or {}):
            for file in folder.glob(f"{Path(PREVIEW_FILE).stem}.*"):
                file.unlink()  # the payload itself is there now
            return _end(folder, JobState.DONE, began=began)
        if stop.is_set or code == EXIT_CANCELLED:
            return _end(folder, JobState.CANCELLED, began=began)
        return _end(folder, JobState.FAILED, _explain(folder, code), began=began)
    finally:
        ticket.unlink(missing_ok=True)


def _build_arguments(folder: Path, asked: Mapping[str, Any]) -> list[str]:
    """Return the arguments of the request, checked again, and where to keep progress and preview.

    Raises:
        InputError: If the request cannot be read, or a path of it lies outside the roots.
    """
    job = read_job(folder)
    if job is None:
        raise ConfigError(f"{folder} is no job of this user. Start the extraction again.")
    asked_for = parse_arguments(job.arguments)
    if asked_for.project_dir != folder.parents[2]:
        raise ConfigError(f"{folder}: asks for another project dir, {asked_for.project_dir}.")
    every = asked.get("save_every")
    if not isinstance(every, int | float) or not every >= 0:
        raise ConfigError(f"{folder / JOB_FILE}: save_every {every!r} must be seconds, 0 or more.")
    request = replace(
        confine(asked_for),
        output=job.output,
        preview=folder / PREVIEW_FILE,
        checkpoint_every=float(every),
    )
    return [*request.to_arguments(), f"--progress={folder / PROGRESS_FILE}", "--backup"]


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


def _start_command(
    command: Sequence[str],
    arguments: Sequence[str],
    folder: Path,
    standby_descriptor: int,
    locks: Sequence[int],
) -> subprocess.Popen[bytes] | StandbyCommand:
    child: subprocess.Popen[bytes] | StandbyCommand | None = None
    if standby_descriptor >= 0:
        with contextlib.suppress(OSError):  # it has ended meanwhile
            child = StandbyCommand(standby_descriptor, folder.name, arguments, locks)
    if child is None:
        whole = [*command, *arguments]
        child = subprocess.Popen(whole, cwd=PACKAGE_ROOT, stdin=subprocess.DEVNULL, pass_fds=locks)
    _note(folder / COMMAND_FILE, identify(child.pid))
    return child


def _watch_command(
    child: subprocess.Popen[bytes] | StandbyCommand, stop: _StopRequest, folder: Path
) -> int:
    """Wait for the end of the command, end it where it must be ended, and return its exit code."""
    deadline: float | None = None
    last_state, last_moment = 0, time.monotonic()
    most, next_look = max_private_memory(), last_moment
    while (code := child.poll()) is None:
        state = _last_written(folder / PROGRESS_FILE)
        if state != last_state:
            last_state, last_moment = state, time.monotonic()
        elif time.monotonic() - last_moment > QUIET_S:
            child.kill()
            child.wait()
            return EXIT_QUIET
        if time.monotonic() > next_look:
            next_look = time.monotonic() + WATCH_S
            if measure_private_memory(child.pid) > most:
                child.kill()
                child.wait()
                return EXIT_LARGE
        if stop.is_set and deadline is None:
            child.terminate()
            deadline = time.monotonic() + GRACE_S
        if deadline is not None and time.monotonic() > deadline:
            child.kill()  # its own children (image decoders) end when their parent is gone
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(POLL_INTERVAL_S)
    return code


def _last_written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _report(folder: Path, state: JobState, message: str) -> None:
    known: dict[str, Any] = read_json(folder / JOB_FILE) or {}
    progress = Progress(state=state.value, message=message, total=int(known.get("total") or 0))
    _note(folder / PROGRESS_FILE, asdict(progress))


def _end(
    folder: Path,
    state: JobState,
    ending: Mapping[str, Any] | None = None,
    *,
    began: float | None = None,
) -> JobState:
    """Note how the job ended; `began` is the monotonic clock when its command was started."""
    asked, progress = (read_json(folder / name) or {} for name in (JOB_FILE, PROGRESS_FILE))
    end: dict[str, Any] = {"state": state.value, "error": None, **(ending or {})}
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


def _explain(folder: Path, code: int) -> dict[str, Any]:
    """Return why a command failed: what it said itself, else an ending (`endings`)."""
    if code == EXIT_QUIET:
        return _ending("quiet", f"{QUIET_S / 3600:g}")
    if code == EXIT_LARGE:
        return _ending("large", f"{max_private_memory() / 1e9:.1f}")
    reported = (read_json(folder / PROGRESS_FILE) or {}).get("error")
    if reported:
        return {"error": str(reported)}
    if code == EXIT_UNKNOWN:
        return _ending("unknown")
    if code < 0:
        name = signal.Signals(-code).name
        return _ending("killed" if name == "SIGKILL" else "signal", name)
    last = read_log(folder, 1)
    return {"error": last} if last else _ending("code", str(code))


def _ending(reason: str, value: str = "") -> dict[str, Any]:
    ending = {"reason": reason, "value": value}
    return {**ending, "error": tell(ending)}  # also for whoever reads the file


if __name__ == "__main__":
    given = wait_for_job(int(sys.argv[2])) if sys.argv[1] == READY else sys.argv[1:]
    os.environ[ROOTS_ENV] = given[3]
    # The current folder is a root: the server's first one, not that of the program.
    os.chdir(given[3].split(os.pathsep)[0])
    run_job(Path(given[0]), int(given[1]), Path(given[2]), int(given[4]), given[5:])
