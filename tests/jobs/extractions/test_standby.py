"""Laws of the process that is kept ready for the next extraction."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

from analysis.jobs.background import start_waiting
from analysis.jobs.extractions import (
    ExtractionRequest,
    IfExists,
    Job,
    JobState,
    devices,
    finish_job,
    forecast_extraction,
    ready_worker,
    standby,
    start_job,
)
from analysis.payload.discovery import load_ref
from analysis.payload.file import load_payload
from tests.factories.projects import make_project
from tests.jobs.conftest import process_id, wait_for, wait_until

pytestmark = pytest.mark.skipif(not standby.CAN_STAND_BY, reason="no name of a process here")

ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[psutil.Process]:
    """Keep a process ready, and give it to nobody else."""
    monkeypatch.setenv("DASHBOARD_QUEUE", str(tmp_path / "queue"))
    monkeypatch.setenv(standby.STANDBY_ENV, "1")
    monkeypatch.setattr(devices, "_found", (devices.Device("cpu", "CPU"),))
    for name, empty in {
        "_waiting": None,
        "_working": None,
        "_starter": None,
        "_announced": [],
    }.items():
        monkeypatch.setattr(standby, name, empty)
    monkeypatch.setattr(ready_worker, "_waiting", None)
    standby.prepare_standby()
    wait_until(lambda: standby._waiting is not None)
    process, connection = standby._waiting or pytest.fail("no process")
    yield psutil.Process(process.pid)
    for kept, its_end in filter(None, ((process, connection), ready_worker._waiting)):
        its_end.close()
        kept.kill()
        kept.wait()


def _start(project: Path, **fields: object) -> Job:
    request = ExtractionRequest(project_dir=project, **fields)  # type: ignore[arg-type]
    return start_job(request, IfExists.BESIDE)


def test_a_job_is_carried_out_by_the_process_that_is_ready(
    ready: psutil.Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "real", images=3)
    monkeypatch.chdir(project)
    job = _start(project)
    wait_until(lambda: (job.folder / "command.json").exists())
    assert process_id(job, "command") == ready.pid
    first = wait_for(job, *ENDED, seconds=240)
    assert first.state is JobState.DONE, first.read_log()
    assert first.phases[0][1] <= time.time() - job.created, "its wait is no part of the job"
    second = _start(project)
    wait_until(lambda: (second.folder / "command.json").exists())
    assert process_id(second, "command") != ready.pid, "it carries out one job"
    other = wait_for(second, *ENDED, seconds=240)
    mine, theirs = (load_payload(job.output)["layers"] for job in (first, other))
    for cell, tensor in ((cell, mine[cell]) for cell in mine):
        for key, values in tensor.items():
            if isinstance(values, torch.Tensor):
                assert torch.equal(values, theirs[cell][key]), (cell, key)


def test_a_job_of_a_ready_process_ends_early_and_keeps_what_it_counted(
    ready: psutil.Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "real", images=400, size=(160, 96), lora=False)
    monkeypatch.chdir(project)
    job = _start(project, batch_size=1, num_workers=0)
    finish_job(wait_for(job, JobState.RUNNING, done=2, seconds=240))
    ended = wait_for(job, *ENDED, seconds=240)
    assert ended.state is JobState.DONE, ended.read_log()
    assert 2 <= int(load_ref(ended.output).facts.num_images or 0) < 400


def test_a_ready_process_that_is_killed_fails_its_job_with_a_sentence(
    ready: psutil.Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "real", images=400, size=(160, 96), lora=False)
    monkeypatch.chdir(project)
    job = _start(project, batch_size=1, num_workers=0)
    wait_for(job, JobState.RUNNING, done=1, seconds=240)
    ready.kill()
    ended = wait_for(job, *ENDED, seconds=60)
    assert ended.state is JobState.FAILED
    assert ended.error is not None
    assert "without saying why" in ended.error


def test_a_process_that_ended_while_it_waited_is_replaced_by_the_command(
    ready: psutil.Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "real", images=2, lora=False)
    monkeypatch.chdir(project)
    ready.kill()
    ended = wait_for(_start(project), *ENDED, seconds=240)
    assert ended.state is JobState.DONE, ended.read_log()


def test_a_ready_process_ends_with_the_server(ready: psutil.Process) -> None:
    waiting = standby._waiting
    assert waiting is not None
    waiting[1].close()  # as the end of the server does
    wait_until(lambda: waiting[0].poll() is not None)
    assert waiting[0].returncode == 0


def test_no_other_command_is_given_to_a_ready_process(ready: psutil.Process) -> None:
    assert standby.take_standby(("/bin/true",)) is None
    assert standby._waiting is not None


def test_a_job_that_was_announced_finds_its_workers_and_measures_the_same(
    ready: psutil.Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "real", images=6)
    monkeypatch.chdir(project)
    request = ExtractionRequest(project_dir=project, num_workers=2)
    monkeypatch.setattr(standby, "AGAIN_S", 0.0)
    arguments = forecast_extraction(request).pinned.to_arguments()
    standby.prepare_standby(arguments)
    wait_until(lambda: len(ready.children()) == 2)
    workers = ready.children()
    standby.prepare_standby(arguments)  # the form is still shown
    job = start_job(request, IfExists.BESIDE)
    wait_until(lambda: (job.folder / "command.json").exists())
    assert process_id(job, "command") == ready.pid
    assert set(ready.children()) <= set(workers)
    assert wait_for(job, *ENDED, seconds=240).state is JobState.DONE, job.read_log()
    monkeypatch.setenv(standby.STANDBY_ENV, "0")
    alone = wait_for(_start(project, num_workers=2), *ENDED, seconds=240)
    mine, theirs = (load_payload(done.output)["layers"] for done in (job, alone))
    for layer, role in ((layer, role) for layer in mine for role in ("cls", "patch")):
        for key in ("mean", "std", "max_abs"):
            assert torch.equal(mine[layer]["pre"][role][key], theirs[layer]["pre"][role][key])


def test_a_job_of_other_images_than_announced_measures_its_own(
    ready: psutil.Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "real", images=6, lora=False)
    monkeypatch.chdir(project)
    announced = ExtractionRequest(project_dir=project, num_workers=2)
    standby.prepare_standby(forecast_extraction(announced).pinned.to_arguments())
    wait_until(lambda: len(ready.children()) == 2)
    job = wait_for(_start(project, num_workers=2, max_images=4), *ENDED, seconds=240)
    assert job.state is JobState.DONE, job.read_log()
    assert load_ref(job.output).facts.num_images == 4


def test_a_process_whose_announced_run_does_not_come_starts_itself_again(tmp_path: Path) -> None:
    project = make_project(tmp_path / "real", images=3, lora=False)
    request = ExtractionRequest(project_dir=project, num_workers=1)
    program = (
        "import sys, analysis.cli.standby as standby, analysis.cli.extract as extract\n"
        "standby.PREPARED_S = 1.0\n"
        "standby.stand_by(int(sys.argv[1]), extract.main)"
    )
    process, connection = start_waiting([sys.executable, "-c", program])
    try:
        connection.send(json.dumps({"arguments": request.to_arguments()}).encode())
        seen = psutil.Process(process.pid)
        wait_until(lambda: bool(seen.children()))
        wait_until(lambda: "-m" in seen.cmdline())
        workers = [child for child in seen.children() if child.status() != psutil.STATUS_ZOMBIE]
        assert workers == []
    finally:
        connection.close()
        process.wait()
    assert process.returncode == 0
