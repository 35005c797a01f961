"""End jobs: cancel them, finish them early, delete what they left."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal

from analysis.errors import ConfigError
from analysis.jobs.disk import can_resume, list_checkpoints
from analysis.jobs.job import (
    CANCEL_FILE,
    PID_FILE,
    PROGRESS_FILE,
    Job,
    JobState,
    read_job,
    read_json,
)
from analysis.jobs.queue import forget, list_jobs, reap
from analysis.read_only import refuse_if_read_only


def cancel_job(job: Job) -> None:
    """Ask the job to stop; it is killed if it has not stopped after ten seconds.

    Returns at once. A job that has ended already is left as it is.

    Raises:
        ConfigError: If the server is read-only.
    """
    refuse_if_read_only()
    reap()
    now = read_job(job.folder)
    if now is None or not now.is_live:  # its process id may belong to a stranger by now
        return
    with contextlib.suppress(OSError, ValueError):
        (job.folder / CANCEL_FILE).touch()
        pid = int((job.folder / PID_FILE).read_text())
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:  # the worker alone was killed: ask what it left behind
            os.killpg(pid, signal.SIGTERM)


def finish_job(job: Job) -> None:
    """Ask the job to end now and to keep what it has counted: its payload says so.

    Returns at once. A job that has ended already is left as it is.

    Raises:
        ConfigError: If the server is read-only, or the job has not begun to count.
    """
    refuse_if_read_only()
    reap()
    now = read_job(job.folder)
    if now is None or now.state.is_final or now.state is JobState.SAVING:
        return
    # Only the extraction itself says that it runs, and by then it listens for the signal, which
    # would end any other process of the job.
    progress = read_json(now.folder / PROGRESS_FILE) or {}
    pid = progress.get("pid")
    if progress.get("state") != JobState.RUNNING.value or not isinstance(pid, int):
        raise ConfigError(f"{job.title} has not counted anything yet. Wait, or cancel it.")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGUSR1)


def delete_job(job: Job) -> None:
    """Delete the folder of a job that has ended; its payload stays, its checkpoint does not.

    Raises:
        ConfigError: If the server is read-only, the job still lives, or the files cannot be
            deleted.
    """
    refuse_if_read_only()
    now = read_job(job.folder)
    if now is None:
        return
    if now.is_live:
        raise ConfigError(f"{job.title} has not ended. Cancel it first.")
    others = [other for other in list_jobs([now.folder.parents[2]]) if other.id != now.id]
    try:
        if can_resume(now) and all(other.output != now.output for other in others):
            for checkpoint in list_checkpoints(now.output):
                checkpoint.unlink(missing_ok=True)
        shutil.rmtree(now.folder)
    except OSError as error:
        raise ConfigError(
            f"{now.folder}: cannot be deleted ({error.strerror or error})."
        ) from error
    forget(now.folder)
