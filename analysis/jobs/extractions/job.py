"""One extraction job: the files of its folder, and what they say about its state.

A job is a folder ``<project dir>/outputs/.jobs/<id>/``; ids sort by the time of asking::

    job.json       what was asked: command, output, device, ...       written once, before the start
    log.txt        all that the child printed
    progress.json  `analysis.collect.run.progress.Progress`           replaced by the child
    alive.lock     locked while any process of the job lives
    worker.json    which process the worker is, see `analysis.files.processes`
    command.json   which process its command is
    cancel         somebody asked it to stop
    exit.json      how it ended                                       written once, by the worker
    preview.pt     a payload of what has been counted so far          replaced by the child

The state is derived from these files whenever somebody looks, so that it is the same for every
viewer and stays true after the server, the worker or the whole machine went down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from analysis.files.atomic import read_json
from analysis.files.locks import is_locked

JOBS_DIR = Path("outputs", ".jobs")
"""Where a project dir keeps the jobs that were started for it."""

JOB_FILE = "job.json"
LOG_FILE = "log.txt"
PROGRESS_FILE = "progress.json"
ALIVE_FILE = "alive.lock"
WORKER_FILE = "worker.json"
COMMAND_FILE = "command.json"
CANCEL_FILE = "cancel"
EXIT_FILE = "exit.json"
PREVIEW_FILE = "preview.pt"


class JobState(StrEnum):
    """Where a job is between being asked for and its end."""

    WAITING = "waiting"
    """For its device, behind earlier jobs."""
    PREPARING = "preparing"
    RUNNING = "running"
    SAVING = "saving"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Return whether the job has ended."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Job:
    """A job as it was when somebody looked."""

    id: str
    folder: Path
    title: str
    """The version that is extracted, or the config's name."""
    output: Path
    device: str
    state: JobState
    done: int
    """Images counted."""
    total: int
    """Images to count."""
    images_per_second: float | None
    seconds_left: float | None
    message: str
    error: str | None
    """Why it failed."""
    created: float
    """Unix seconds."""
    finished: float | None
    """Unix seconds; None while the job lives, or when nothing could note its end."""
    seconds: float | None
    """From being asked for to its end, by a clock that nobody puts right; None like `finished`."""
    arguments: tuple[str, ...]
    """Command-line arguments that ask for the same extraction."""
    replaces: bool
    """Whether it was asked to replace the payload at its output path."""

    @property
    def is_live(self) -> bool:
        """Return whether the job still waits or runs."""
        return not self.state.is_final

    @property
    def preview(self) -> Path | None:
        """Return the payload of what a living job has counted so far; None before the first."""
        path = self.folder / PREVIEW_FILE
        return path if self.is_live and path.exists() else None

    def read_log(self, lines: int = 15) -> str:
        """Return the last lines of the log (of at most its last 64 KiB)."""
        try:
            with (self.folder / LOG_FILE).open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - 65536))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        # a terminal's progress bar rewrites its line with carriage returns
        rows = [row.rsplit("\r", 1)[-1].rstrip() for row in text.replace("\r\n", "\n").split("\n")]
        return "\n".join([row for row in rows if row][-lines:])


def read_job(folder: Path) -> Job | None:
    """Return the job as its folder tells it now, None where the folder is no job's."""
    asked = read_json(folder / JOB_FILE)
    if asked is None:
        return None
    # The lock is asked first: a job that ends between the two looks has written its end by then.
    alive = is_locked(folder / ALIVE_FILE)
    progress = read_json(folder / PROGRESS_FILE) or {}
    end = read_json(folder / EXIT_FILE)
    state, error = _derive_state(alive, progress, end)
    if end is None and state is JobState.FAILED:  # it could not note that itself
        if has_written(asked, progress):
            state, error = JobState.DONE, None
        elif (folder / CANCEL_FILE).exists():
            state, error = JobState.CANCELLED, None
    return Job(
        id=folder.name,
        folder=folder,
        title=str(asked.get("title") or folder.name),
        output=Path(str(asked.get("output"))),
        device=str(asked.get("device")),
        state=state,
        done=int(_number(progress, "done") or 0),
        total=int(_number(progress, "total") or _number(asked, "total") or 0),
        images_per_second=_number(progress, "images_per_second"),
        seconds_left=_number(progress, "seconds_left"),
        message=str(progress.get("message") or ""),
        error=error,
        created=_number(asked, "created") or 0.0,
        finished=_number(end or {}, "finished"),
        seconds=_number(end or {}, "seconds"),
        arguments=tuple(map(str, asked.get("arguments") or ())),
        replaces=bool(asked.get("replace")),
    )


def _derive_state(
    alive: bool, progress: Mapping[str, Any], end: Mapping[str, Any] | None
) -> tuple[JobState, str | None]:
    if end is not None:
        return _to_state(end.get("state"), JobState.FAILED), end.get("error")
    reported = _to_state(progress.get("state"), JobState.WAITING)
    if alive:
        return (JobState.SAVING if reported.is_final else reported), None
    if reported.is_final:
        return reported, progress.get("error")
    return JobState.FAILED, (
        f"It ended while {reported.value} without saying why: killed, or the machine went down. "
        "Start it again."
    )


def has_written(asked: Mapping[str, Any], progress: Mapping[str, Any]) -> bool:
    """Return whether an extraction that was ended had put its payload in place, whole."""
    if progress.get("state") == JobState.DONE.value:
        return True
    if progress.get("state") != JobState.SAVING.value or "replaced" not in asked:
        return False
    return describe_file(Path(str(asked.get("output")))) not in (None, asked["replaced"])


def describe_file(path: Path) -> list[int] | None:
    """Return what tells a file from its successor at the same path; None where there is none."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return [state.st_ino, state.st_size, state.st_mtime_ns]


def _number(facts: Mapping[str, Any], key: str) -> float | None:
    value = facts.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < 1e15 else None


def _to_state(value: Any, otherwise: JobState) -> JobState:
    return JobState(value) if value in list(JobState) else otherwise
