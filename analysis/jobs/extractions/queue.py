"""Start, restart and list extraction jobs. The server keeps nothing: a job lives by its folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from analysis.collect.plan.flags import parse_arguments
from analysis.collect.plan.request import ExtractionRequest
from analysis.collect.run.progress import Progress
from analysis.errors import ConfigError
from analysis.files.atomic import write_json
from analysis.files.locks import acquire_lock, locked
from analysis.files.own_state import is_own_folder, make_own_folder
from analysis.files.paths import is_plain
from analysis.files.processes import identify
from analysis.files.read_only import refuse_if_read_only
from analysis.files.writing import link_file, make_folder
from analysis.jobs.background import queues_folder
from analysis.jobs.extractions.devices import list_devices, resolve_device
from analysis.jobs.extractions.disk import can_resume
from analysis.jobs.extractions.forecast import (
    Forecast,
    IfExists,
    choose_output,
    confine,
    forecast_extraction,
)
from analysis.jobs.extractions.job import (
    ALIVE_FILE,
    JOB_FILE,
    JOBS_DIR,
    LOG_FILE,
    PROGRESS_FILE,
    WORKER_FILE,
    Job,
    JobState,
    describe_file,
    read_job,
)
from analysis.jobs.extractions.ready_worker import start_worker
from analysis.jobs.extractions.standby import COMMAND, take_standby
from analysis.language import _
from analysis.payload.discovery import allowed_roots, resolve_below_roots

PREVIEW_EVERY_S = 10.0
"""How often a job saves what it has counted, for resuming and for looking at."""

START_LOCK = "start.lock"
"""Held while the jobs of a project dir become more or fewer."""

_finished: dict[Path, Job] = {}  # a job that has ended does not change any more


def start_job(
    asked: Forecast | ExtractionRequest,
    if_exists: IfExists = IfExists.REFUSE,
    *,
    command: Sequence[str] = COMMAND,
) -> Job:
    """Start an extraction as a process of its own, and return at once.

    Args:
        asked: What to extract. A forecast is started as it was shown: with its weights, its head
            and its split. The output is chosen by the rule of the form, see `choose_output`.
        if_exists: What to do where a payload already stands at the output path.
        command: What is run; the arguments of the request follow, and where to keep progress
            and preview.

    Raises:
        InputError: If the server is read-only, the request cannot be carried out, or a payload
            stands at the output path and nothing was said about it.
    """
    refuse_if_read_only()
    forecast = asked if isinstance(asked, Forecast) else forecast_extraction(asked)
    return _start_where(
        forecast,
        lambda live: choose_output(forecast.default_output, if_exists, live),
        command,
    )


def restart_job(job: Job, *, resume: bool = False, command: Sequence[str] = COMMAND) -> Job:
    """Start the same extraction again, as a new job, and return at once.

    It writes where the old one was to write; only where another payload stands there by now, or
    another job is about to write it, it is saved beside.

    Args:
        job: The job that has ended.
        resume: Whether to go on with what it had counted (see `can_resume`).
        command: As for `start_job`.

    Raises:
        InputError: If the server is read-only, the job still lives, its request can no longer be
            carried out, or there is nothing to resume.
    """
    refuse_if_read_only()
    now = read_job(job.folder)
    if now is None or now.is_live:
        raise ConfigError(
            _("Job {id} has not ended. Wait for its end, or cancel it first.").format(id=job.id)
        )
    if resume and not can_resume(now):
        raise ConfigError(
            _("Job {id} left nothing to go on with. Start it again from the start.").format(
                id=job.id
            )
        )
    request = replace(confine(parse_arguments(now.arguments)), resume=resume)
    output = resolve_below_roots(now.output)
    replaces = now.replaces and now.state is not JobState.DONE

    def choose(live: Sequence[Job]) -> Path:
        taken = any(other.output == output for other in live)
        if taken and resume:
            raise ConfigError(
                _("{output}: another job is about to write it. Wait for its end.").format(
                    output=output
                )
            )
        goes_there = not taken and (replaces or not output.exists())
        return choose_output(output, IfExists.REPLACE if goes_there else IfExists.BESIDE, live)

    done = now.done if resume else 0
    return _start_where(forecast_extraction(request), choose, command, done)


def _start_where(
    forecast: Forecast,
    choose: Callable[[Sequence[Job]], Path],
    command: Sequence[str],
    done: int = 0,
) -> Job:
    settings, images = forecast.plan.settings, forecast.plan.images
    request = forecast.pinned
    project_dir = request.project_dir
    try:
        make_own_folder(project_dir / JOBS_DIR)
        # One start at a time, so that two users cannot be given the same output path.
        with locked(project_dir / JOBS_DIR / START_LOCK):
            live = [job for job in list_jobs([project_dir]) if job.is_live]
            chosen = replace(request, output=choose(live))
            _refuse_variables(chosen)
            return _start(chosen, settings.version, len(images.entries), command, done)
    except OSError as error:
        raise ConfigError(
            _(
                "{project_dir}: the job cannot be written down ({strerror}). Make "
                "the folder writable."
            ).format(project_dir=project_dir / JOBS_DIR, strerror=error.strerror or error)
        ) from error


def _refuse_variables(request: ExtractionRequest) -> None:
    """Refuse a path that the command line of the job would take for another one.

    Raises:
        ConfigError: If a path holds what stands for a variable; names it.
    """
    values = (argument.partition("=")[2] for argument in request.to_arguments())
    for text in values:
        if is_plain(text):
            continue
        raise ConfigError(
            _(
                "{path}: a name with $ stands for a variable in a command. Rename the folder."
            ).format(path=text)
        )


def _start(
    request: ExtractionRequest,
    version: str | None,
    total: int,
    command: Sequence[str],
    done: int,
) -> Job:
    assert request.output is not None
    device = resolve_device(request.device, list_devices())
    queue = _queue_dir(device.name)
    folder = request.project_dir / JOBS_DIR / _new_id([request.project_dir / JOBS_DIR, queue])
    make_folder(folder, 0o700, exist_ok=False)
    arguments = request.to_arguments()
    every = PREVIEW_EVERY_S if request.checkpoint_every is None else request.checkpoint_every
    alive = acquire_lock(folder / ALIVE_FILE, wait=True)
    assert alive is not None
    standby = take_standby(command)
    try:
        write_json(
            folder / JOB_FILE,
            {
                "title": version
                or (request.config.stem if request.config else request.output.stem),
                "arguments": arguments,
                "save_every": every,
                "output": str(request.output),
                "replace": request.output.exists(),
                "replaced": describe_file(request.output),
                "device": device.name,
                "device_label": device.label,
                "total": total,
                "done": done,
                "created": time.time(),
                "clock": time.monotonic(),
            },
        )
        # There from the start, so that a disk that fills up has room for how the job ends.
        write_json(folder / PROGRESS_FILE, asdict(Progress(state="waiting", total=total)))
        link_file(queue / folder.name, folder)
        roots = os.pathsep.join(map(str, allowed_roots()))
        child = start_worker(
            folder,
            alive,
            folder / LOG_FILE,
            [str(queue), roots, *command],
            None if standby is None else standby.fileno(),
        )
    except OSError:
        (queue / folder.name).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)  # the caller is told: it was never a job
        raise
    finally:
        os.close(alive)
        if standby is not None:
            standby.close()
    # Waited for, so that its process id is free again as soon as it has ended.
    threading.Thread(target=child.wait, name=f"job {folder.name}", daemon=True).start()
    with contextlib.suppress(OSError):  # the worker notes it too, should this server die here
        write_json(folder / WORKER_FILE, identify(child.pid))
    job = read_job(folder)
    assert job is not None
    return job


def list_jobs(project_dirs: Iterable[Path] | None = None) -> list[Job]:
    """Return the jobs of the project dirs, latest first.

    Args:
        project_dirs: Default: the allowed roots and the folders directly below them.
    """
    jobs: dict[Path, Job] = {}
    for project_dir in _known_project_dirs() if project_dirs is None else project_dirs:
        with contextlib.suppress(OSError):
            jobs_dir = project_dir.expanduser().resolve() / JOBS_DIR
            for folder in jobs_dir.iterdir() if is_own_folder(jobs_dir) else ():
                job = _finished.get(folder) or read_job(folder)
                if job is not None:
                    jobs[folder] = job
                    if job.finished is not None:
                        _finished[folder] = job
    return sorted(jobs.values(), key=lambda job: job.id, reverse=True)


def list_outputs_being_written() -> frozenset[Path]:
    """Return the payloads that waiting and running extractions will write."""
    return frozenset(job.output for job in list_jobs() if job.is_live)


def forget(folder: Path) -> None:
    """Forget a job whose folder is gone."""
    _finished.pop(folder, None)


def _known_project_dirs() -> list[Path]:
    folders: list[Path] = []
    for root in allowed_roots():
        with contextlib.suppress(OSError):
            below = (folder.parent.parent for folder in root.glob(f"*/{JOBS_DIR}"))
            folders += [root, *(folder for folder in below if not folder.is_symlink())]
    return folders


def _new_id(folders: Iterable[Path]) -> str:
    """Return an id that sorts after all in the folders, also if the clock has been put back."""
    now = time.time_ns()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 10**9))
    names = [path.name for folder in folders for path in folder.iterdir()]
    latest = max(filter(re.compile(r"\d{8}-\d{6}-\d{9}").fullmatch, names), default="")
    after = f"{latest[:-9]}{int(latest[-9:] or 0) + 1:09d}"
    return max(f"{stamp}-{now % 10**9:09d}", after)


def _queue_dir(device: str) -> Path:
    """Return the folder where this machine's jobs for a device queue, whatever their project."""
    base = queues_folder()
    make_own_folder(base)
    queue = base / re.sub(r"[^\w.-]", "-", device)
    make_own_folder(queue)
    return queue
