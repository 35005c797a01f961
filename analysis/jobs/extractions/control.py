"""End jobs: cancel them, finish them early, delete what they left."""

from __future__ import annotations

import contextlib
import shutil
import signal

from analysis.errors import ConfigError
from analysis.files.atomic import read_json, remove_abandoned
from analysis.files.locks import locked
from analysis.files.processes import send_signal
from analysis.files.read_only import refuse_if_read_only
from analysis.files.writing import remove_file, touch_file
from analysis.jobs.extractions.disk import list_checkpoints
from analysis.jobs.extractions.job import (
    CANCEL_FILE,
    COMMAND_FILE,
    PROGRESS_FILE,
    WORKER_FILE,
    Job,
    JobState,
    read_job,
)
from analysis.jobs.extractions.queue import START_LOCK, forget, list_jobs
from analysis.language import _


def cancel_job(job: Job) -> None:
    """Ask the job to stop; it is killed if it has not stopped after ten seconds.

    Returns at once. A job that has ended already is left as it is.

    Raises:
        ConfigError: If the server is read-only.
    """
    refuse_if_read_only()
    now = read_job(job.folder)
    if now is None or not now.is_live:  # its process id may belong to a stranger by now
        return
    with contextlib.suppress(OSError):
        touch_file(job.folder / CANCEL_FILE)  # the worker looks for it
    if not send_signal(read_json(job.folder / WORKER_FILE), signal.SIGTERM, named=str(job.folder)):
        # The worker alone was killed: ask what it left behind.
        send_signal(read_json(job.folder / COMMAND_FILE), signal.SIGTERM, named=str(job.folder))


def finish_job(job: Job) -> None:
    """Ask the job to end now and to keep what it has counted: its payload says so.

    Returns at once. A job that has ended already is left as it is.

    Raises:
        ConfigError: If the server is read-only, or the job has not begun to count.
    """
    refuse_if_read_only()
    now = read_job(job.folder)
    if now is None or now.state.is_final or now.state is JobState.SAVING:
        return
    # Only the extraction itself says that it runs, and by then it listens for the signal, which
    # would end any other process of the job.
    progress = read_json(now.folder / PROGRESS_FILE) or {}
    if progress.get("state") != JobState.RUNNING.value:
        raise ConfigError(
            _("{title} has not counted anything yet. Wait, or cancel it.").format(title=job.title)
        )
    send_signal(read_json(now.folder / COMMAND_FILE), signal.SIGUSR1, named=str(now.folder))


def delete_job(job: Job) -> None:
    """Delete the folder of a job that has ended; its payload stays, its checkpoint does not.

    Raises:
        ConfigError: If the server is read-only, the job still lives, or the files cannot be
            deleted.
    """
    refuse_if_read_only()
    try:
        # Not while somebody starts a job that goes on with the checkpoint.
        with locked(job.folder.parent / START_LOCK):
            _delete(job)
    except OSError as error:
        raise ConfigError(
            _("{folder}: cannot be deleted ({strerror}).").format(
                folder=job.folder, strerror=error.strerror or error
            )
        ) from error


def _delete(job: Job) -> None:
    now = read_job(job.folder)
    if now is None:
        return
    if now.is_live:
        raise ConfigError(_("{title} has not ended. Cancel it first.").format(title=job.title))
    others = [other for other in list_jobs([now.folder.parents[2]]) if other.id != now.id]
    if all(other.output != now.output for other in others):
        checkpoints = list_checkpoints(now.output)
        for file in (now.output, now.output.with_suffix(".json"), *checkpoints):
            remove_abandoned(file)
        for checkpoint in checkpoints:
            remove_file(checkpoint)
    shutil.rmtree(now.folder)
    forget(now.folder)
