"""The process of a job runs what it was started with, whatever the job's folder says by then."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from analysis.files.atomic import read_json, write_json
from analysis.files.locks import acquire_lock
from analysis.jobs.background import start_background
from analysis.jobs.extractions import Job, JobState
from analysis.jobs.extractions.job import read_job
from analysis.jobs.extractions.ready_worker import WORKER
from tests import ROOT
from tests.jobs.conftest import Start, stand_in, wait_for

ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


def _rewrite_job(folder: Path, **changed: object) -> None:
    """Put another `job.json` in place while the worker waits, as the folder's owner could."""
    asked = read_json(folder / "job.json") or {}
    write_json(folder / "job.json", asked | changed)


def _run_again(job: Job, queue: Path, command: list[str]) -> Job:
    """Run the worker of a job once more over its folder as it is now."""
    (job.folder / "exit.json").unlink()
    alive = acquire_lock(job.folder / "alive.lock", wait=True)
    assert alive is not None
    roots = str(job.folder.parents[2])
    child = start_background(
        WORKER, job.folder, alive, job.folder / "log.txt", [str(queue), roots, "-1", *command]
    )
    os.close(alive)
    assert child.wait(120) == 0
    again = read_job(job.folder)
    assert again is not None
    return again


def test_no_command_is_taken_from_the_folder_of_a_job(
    start: Start, project: Path, tmp_path: Path
) -> None:
    job = wait_for(start("finish"), *ENDED)
    marker, queue = tmp_path / "marker", tmp_path / "queue" / "cpu"
    _rewrite_job(job.folder, command=["touch", str(marker)], queue=str(tmp_path))
    again = _run_again(job, queue, stand_in(project, "finish"))
    assert again.state is JobState.DONE
    assert not marker.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--config=/etc/hostname"], id="outside the roots"),
        pytest.param([f"--config={ROOT}/configs/train.yaml"], id="in the program's own folder"),
        pytest.param(["compare", "a", "b"], id="another command"),
        pytest.param(5, id="no list"),
    ],
)
def test_the_worker_checks_the_request_again(
    start: Start, project: Path, tmp_path: Path, arguments: object
) -> None:
    job = wait_for(start("finish"), *ENDED)
    job.output.write_text("before")
    _rewrite_job(job.folder, arguments=arguments)
    again = _run_again(job, tmp_path / "queue" / "cpu", stand_in(project, "finish"))
    assert again.state is JobState.FAILED
    assert again.error
    assert job.output.read_text() == "before"


def test_a_job_that_counts_nothing_is_ended(
    start: Start, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = wait_for(start("finish"), *ENDED)
    monkeypatch.setenv("DASHBOARD_JOB_QUIET_HOURS", str(0.5 / 3600))
    again = _run_again(job, tmp_path / "queue" / "cpu", stand_in(project, "deaf"))
    assert again.state is JobState.FAILED
    assert "counted no image" in str(again.error)


def test_a_job_that_takes_too_much_memory_is_ended_and_says_so(
    start: Start, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = wait_for(start("finish"), *ENDED)
    monkeypatch.setenv("DASHBOARD_JOB_MEMORY_GB", "0.3")
    script = "held = bytearray(b'x' * 600_000_000)\nimport time\ntime.sleep(600)"
    again = _run_again(job, tmp_path / "queue" / "cpu", [sys.executable, "-c", script])
    assert again.state is JobState.FAILED
    assert "held more than 0.3 GB" in str(again.error)
