"""One extraction job: the files of its folder, and what they say about its state.

A job is a folder ``<project dir>/outputs/.jobs/<id>/``; ids sort by the time of asking::

    job.json       what was asked: arguments, output, device, ...     written once, before the start
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

from analysis.errors import ConfigError
from analysis.files.atomic import read_json
from analysis.files.locks import is_locked
from analysis.files.own_state import is_own_folder
from analysis.files.roots import resolve_below_roots
from analysis.jobs.background import read_last_lines
from analysis.jobs.extractions.endings import tell
from analysis.language import _
from analysis.vocabulary import FEATURE_STATS_DIR

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


MAX_TEXT = 4000
"""Characters of one text of a job; more is cut."""
MAX_ARGUMENTS = 64
MAX_PHASES = 32
LAST_SECOND = 4e9
"""Of a clock: in the year 2096."""


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
    is_cancelling: bool = False
    """Whether somebody asked it to stop, and it has not ended yet."""
    began: float | None = None
    """Unix seconds: when its device was free; None while it waits."""
    ran_seconds: float | None = None
    """From `began` to its end; None like `finished`."""
    phases: tuple[tuple[str, float], ...] = ()
    """What its command has done so far, and the seconds that each took."""
    adapter_error: str | None = None
    """Why the adapter was not loaded where it is done all the same: the frozen backbone counted."""

    @property
    def is_live(self) -> bool:
        """Return whether the job still waits or runs."""
        return not self.state.is_final

    @property
    def preview(self) -> Path | None:
        """Return the payload of what a living job has counted so far; None before the first."""
        path = self.folder / PREVIEW_FILE
        return path if self.is_live and path.is_file() and not path.is_symlink() else None

    def read_log(self, lines: int = 15) -> str:
        """Return the last lines of the log, see `read_log` below."""
        return read_log(self.folder, lines)


def read_log(folder: Path, lines: int) -> str:
    """Return the last lines of a job's log, see `read_last_lines`."""
    return read_last_lines(folder / LOG_FILE, lines)


def read_job(folder: Path) -> Job | None:
    """Return the job as its folder tells it now, None where the folder is no job of this user."""
    if not is_own_folder(folder):
        return None
    asked = read_json(folder / JOB_FILE)
    output = _to_output(asked)
    if asked is None or output is None:
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
    # what is counted again after an interruption begins where that ended
    counted_before = state in (JobState.WAITING, JobState.PREPARING)
    done = _number(asked if counted_before else progress, "done")
    waits = state is JobState.WAITING
    return Job(
        id=folder.name,
        folder=folder,
        title=_text(asked, "title") or folder.name,
        output=output,
        device=_text(asked, "device"),
        state=state,
        done=int(done or 0),
        total=int(_number(progress, "total") or _number(asked, "total") or 0),
        images_per_second=_number(progress, "images_per_second"),
        seconds_left=_number(progress, "seconds_left"),
        message=_text(progress, "message"),
        error=error,
        created=_number(asked, "created", LAST_SECOND) or 0.0,
        finished=_number(end or {}, "finished", LAST_SECOND),
        seconds=_number(end or {}, "seconds", LAST_SECOND),
        arguments=_arguments(asked),
        replaces=bool(asked.get("replace")),
        is_cancelling=not state.is_final and (folder / CANCEL_FILE).exists(),
        began=None if waits else _number(progress, "started", LAST_SECOND),
        ran_seconds=_number(end or {}, "ran_seconds", LAST_SECOND),
        phases=_phases(progress),
        adapter_error=_text(end or {}, "adapter_error") or None,
    )


def _derive_state(
    alive: bool, progress: Mapping[str, Any], end: Mapping[str, Any] | None
) -> tuple[JobState, str | None]:
    if end is not None:
        return _to_state(end.get("state"), JobState.FAILED), tell(end) or _text(
            end, "error"
        ) or None
    reported = _to_state(progress.get("state"), JobState.WAITING)
    if alive:
        return (JobState.SAVING if reported.is_final else reported), None
    if reported.is_final:
        return reported, _text(progress, "error") or None
    return JobState.FAILED, (
        _(
            "It ended while {value} without saying why: killed, or the machine "
            "went down. Start it again."
        ).format(value=reported.value)
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


def _number(facts: Mapping[str, Any], key: str, most: float = 1e15) -> float | None:
    value = facts.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < most else None


def _text(facts: Mapping[str, Any], key: str) -> str:
    value = facts.get(key)
    return value[:MAX_TEXT] if isinstance(value, str) else ""


def _phases(progress: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    phases = progress.get("phases")
    return (
        tuple(
            (name[:MAX_TEXT], float(seconds))
            for name, seconds in (
                phase
                for phase in phases[:MAX_PHASES]
                if isinstance(phase, list) and len(phase) == 2
            )
            if isinstance(name, str)
            and isinstance(seconds, int | float)
            and 0 <= seconds < LAST_SECOND
        )
        if isinstance(phases, list)
        else ()
    )


def _arguments(asked: Mapping[str, Any]) -> tuple[str, ...]:
    values = asked.get("arguments")
    if not isinstance(values, list) or len(values) > MAX_ARGUMENTS:
        return ()
    return tuple(value for value in values if isinstance(value, str))


def _to_output(asked: Mapping[str, Any] | None) -> Path | None:
    """Return the payload that a job writes; None where a job may not write one."""
    value = (asked or {}).get("output")
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT:
        return None
    try:
        path = resolve_below_roots(Path(value))
    except (ConfigError, UnicodeError):
        return None
    return path if path.suffix == ".pt" and path.parent.name == FEATURE_STATS_DIR else None


def _to_state(value: Any, otherwise: JobState) -> JobState:
    return JobState(value) if isinstance(value, str) and value in list(JobState) else otherwise
