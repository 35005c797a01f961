"""Laws of the worker that is started before its job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from analysis.jobs.extractions import (
    ExtractionRequest,
    IfExists,
    JobState,
    devices,
    ready_worker,
    standby,
    start_job,
)
from tests.factories.projects import make_project
from tests.jobs.conftest import process_id, wait_for, wait_until

pytestmark = pytest.mark.skipif(not standby.CAN_STAND_BY, reason="no name of a process here")


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[psutil.Process]:
    """Keep a worker ready, and no process for the command."""
    monkeypatch.setenv("DASHBOARD_QUEUE", str(tmp_path / "queue"))
    monkeypatch.setattr(devices, "_found", (devices.Device("cpu", "CPU"),))
    monkeypatch.setattr(standby, "_waiting", None)
    monkeypatch.setattr(ready_worker, "_waiting", None)
    ready_worker.prepare_worker()
    process, connection = ready_worker._waiting or pytest.fail("no worker")
    yield psutil.Process(process.pid)
    connection.close()
    process.kill()
    process.wait()


@pytest.mark.parametrize("is_alive", [True, False], ids=["alive", "ended"])
def test_a_job_has_the_worker_that_is_ready_or_a_new_one(
    ready: psutil.Process, is_alive: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "real", images=2, lora=False)
    monkeypatch.chdir(project)
    if not is_alive:
        ready.kill()
    job = start_job(ExtractionRequest(project_dir=project), IfExists.BESIDE)
    ended = wait_for(job, JobState.DONE, JobState.FAILED, seconds=240)
    assert ended.state is JobState.DONE, ended.read_log()
    assert "2 images" in ended.read_log(), "what it prints stands in the job's log"
    assert (process_id(job, "worker") == ready.pid) is is_alive


def test_a_worker_without_a_job_ends_with_the_server(ready: psutil.Process) -> None:
    process, connection = ready_worker._waiting or pytest.fail("no worker")
    connection.close()
    wait_until(lambda: process.poll() is not None)
    assert process.returncode == 0
