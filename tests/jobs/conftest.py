"""A project dir, a queue of its own, and stand-ins for the extraction that end as they are told."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from analysis.files.atomic import read_json
from analysis.jobs.extractions import (
    ExtractionRequest,
    IfExists,
    Job,
    JobState,
    cancel_job,
    devices,
    list_jobs,
    start_job,
)
from tests.factories.projects import make_project

STAND_IN = textwrap.dedent(
    '''
    """Takes the extraction's flags, behaves as the first argument says."""
    import json, os, signal, sys, time
    from pathlib import Path

    behaviour = sys.argv[1]
    flags = dict(flag.split("=", 1) for flag in sys.argv[2:] if "=" in flag)
    output = Path(flags["--output"])

    def report(state, done, **more):
        temporary = Path(flags["--progress"] + ".part")
        temporary.write_text(json.dumps(
            {"state": state, "done": done, "total": 6, "pid": os.getpid(), **more}
        ))
        temporary.replace(flags["--progress"])

    def stop(*_):
        report("cancelled", 2)
        sys.exit(130)

    def finish(*_):
        global behaviour
        behaviour = "finish early"
        raise InterruptedError

    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "deaf" else stop)
    signal.signal(signal.SIGUSR1, finish)
    print("started", flush=True)
    report("running", 2, images_per_second=4.0, seconds_left=1.0)
    if behaviour in ("long", "deaf"):
        Path(flags["--preview"]).write_text("preview")
        checkpoint = output.with_name(output.stem + ".rank0of1.checkpoint")
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write_text("2")
        try:
            time.sleep(120)
        except InterruptedError:
            checkpoint.unlink()
    if behaviour == "wait":
        while not output.with_name("go").exists():
            time.sleep(0.05)
    if behaviour == "refuse":
        report("failed", 0, error="config.yaml: no such backbone")
        sys.exit(2)
    if behaviour == "crash":
        print("Traceback: the very last line", flush=True)
        sys.exit(1)
    if behaviour == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    output.parent.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, os.getcwd())  # jobs run in the package's root
    from analysis.files.atomic import replace_file
    for file, text in ((output, behaviour), (output.with_suffix(".json"), "{}")):
        with replace_file(file, backup="--backup" in sys.argv) as stream:
            stream.write(text.encode())
    report("done", 6)
    '''
)

Start = Callable[..., Job]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_project(tmp_path / "project", lora=False, weights=False)
    (folder / "weights" / "dinov3_vitt16_demo.pt").touch()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DASHBOARD_QUEUE", str(tmp_path / "queue"))
    # no test here depends on the real answer, which takes an import of torch
    monkeypatch.setattr(devices, "_found", (devices.Device("cpu", "CPU"),))
    return folder


@pytest.fixture
def start(project: Path, tmp_path: Path) -> Iterator[Start]:
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)

    def start(behaviour: str, if_exists: IfExists = IfExists.BESIDE, **fields: object) -> Job:
        request = ExtractionRequest(project_dir=project, **fields)  # type: ignore[arg-type]
        return start_job(request, if_exists, command=stand_in(project, behaviour))

    yield start
    for job in list_jobs([project]):
        if job.is_live:
            cancel_job(job)
            with suppress(ProcessLookupError):  # it may have obeyed already
                os.killpg(process_id(job), signal.SIGKILL)


def process_id(job: Job, of: str = "worker") -> int:
    """Return the process id of a job's worker, which leads its group, or of its `command`."""
    return int((read_json(job.folder / f"{of}.json") or {})["pid"])


def stand_in(project: Path, behaviour: str) -> list[str]:
    """Return the command of an extraction that only behaves like one."""
    return [sys.executable, str(project.parent / "stand_in.py"), behaviour]


def wait_for(job: Job, *states: JobState, done: int = 0, seconds: float = 120) -> Job:
    """Return the job as soon as it is in one of the states."""
    deadline = time.monotonic() + seconds
    while True:
        now = next(j for j in list_jobs([job.folder.parents[2]]) if j.id == job.id)
        if now.state in states and now.done >= done:
            return now
        if time.monotonic() > deadline:
            raise AssertionError(f"{now.state} {now.error}, not {states}: {now.read_log()}")
        time.sleep(0.05)


def wait_until(holds: Callable[[], bool], seconds: float = 120) -> None:
    """Return as soon as something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
