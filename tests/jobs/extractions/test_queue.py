"""Jobs as real processes: what is said of them stays true however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis.errors import ConfigError
from analysis.jobs.extractions import (
    ExtractionRequest,
    IfExists,
    JobState,
    cancel_job,
    list_jobs,
    start_job,
)
from tests import ROOT
from tests.jobs.conftest import Start, process_id, wait_for

ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


def test_a_job_ends_done_with_its_payload_log_and_progress(project: Path, start: Start) -> None:
    job = wait_for(start("finish"), *ENDED)
    assert (job.state, job.error, job.done, job.total) == (JobState.DONE, None, 6, 6)
    default = project / "outputs/v1/train_all/feature_stats/dinov3_feature_stats.pt"
    assert job.output == default
    assert default.read_text() == "finish"
    assert job.read_log() == "started"
    assert job.title == "v1"


def test_a_started_job_is_live_at_once(start: Start) -> None:
    assert start("long").is_live


def test_progress_is_what_the_extraction_reports(start: Start) -> None:
    job = wait_for(start("long"), JobState.RUNNING)
    assert (job.done, job.total, job.images_per_second, job.seconds_left) == (2, 6, 4.0, 1.0)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        pytest.param("refuse", "config.yaml: no such backbone", id="bad input"),
        pytest.param("crash", "Traceback: the very last line", id="a bug"),
        pytest.param("die", "SIGKILL", id="killed"),
    ],
)
def test_a_failed_job_says_why(start: Start, behaviour: str, reason: str) -> None:
    job = wait_for(start(behaviour), *ENDED)
    assert job.state is JobState.FAILED
    assert reason in str(job.error)


def test_cancel_stops_the_running_job(start: Start) -> None:
    job = wait_for(start("long"), JobState.RUNNING)
    cancel_job(job)
    assert wait_for(job, *ENDED).state is JobState.CANCELLED
    assert not job.output.exists()


def test_cancel_is_not_called_a_failure_however_early_it_comes(start: Start) -> None:
    job = start("long")
    cancel_job(job)
    job = wait_for(job, *ENDED)
    assert (job.state, job.error) == (JobState.CANCELLED, None)


def test_cancel_kills_a_job_that_does_not_listen(start: Start) -> None:
    job = wait_for(start("deaf"), JobState.RUNNING)
    cancel_job(job)
    assert wait_for(job, *ENDED).state is JobState.CANCELLED


def test_jobs_of_one_device_run_one_after_another_in_the_order_of_starting(start: Start) -> None:
    first, second, third = start("wait"), start("wait"), start("finish")
    wait_for(first, JobState.RUNNING)
    waiting = wait_for(third, JobState.WAITING)
    assert [job.state for job in list_jobs([first.folder.parents[2]])] == [
        JobState.WAITING,
        JobState.WAITING,
        JobState.RUNNING,
    ]
    (first.output.parent).mkdir(parents=True, exist_ok=True)
    (first.output.parent / "go").touch()
    ended = [wait_for(job, *ENDED) for job in (first, second, waiting)]
    assert [job.state for job in ended] == [JobState.DONE] * 3
    finished = [job.finished for job in ended]
    assert finished == sorted(finished, key=float)  # type: ignore[arg-type]


def test_a_waiting_job_says_what_it_waits_for_and_can_be_cancelled(start: Start) -> None:
    wait_for(start("long"), JobState.RUNNING)
    waiting = start("finish")
    while not (waiting := wait_for(waiting, JobState.WAITING)).message:
        pass
    assert waiting.message == "Waiting for CPU, behind an earlier job"
    cancel_job(waiting)
    assert wait_for(waiting, *ENDED).state is JobState.CANCELLED


def test_a_job_behind_a_killed_one_gets_its_turn(start: Start) -> None:
    first = wait_for(start("long"), JobState.RUNNING)
    second = start("finish")
    os.killpg(process_id(first), signal.SIGKILL)
    assert wait_for(second, *ENDED).state is JobState.DONE
    assert wait_for(first, *ENDED).state is JobState.FAILED


def test_a_job_killed_as_a_whole_is_not_called_running(start: Start) -> None:
    job = wait_for(start("long"), JobState.RUNNING)
    os.killpg(process_id(job), signal.SIGKILL)
    job = wait_for(job, *ENDED)
    assert job.state is JobState.FAILED
    assert "ended while running without saying why" in str(job.error)


def test_a_job_lives_on_when_its_worker_alone_is_killed(start: Start) -> None:
    job = wait_for(start("long"), JobState.RUNNING)
    while not (job.folder / "command.json").exists():  # which the worker notes after the start
        time.sleep(0.05)
    os.kill(process_id(job), signal.SIGKILL)
    second = start("finish")
    wait_for(second, JobState.WAITING)
    job = wait_for(job, JobState.RUNNING)  # it holds its lock, so the device is not free
    cancel_job(job)
    assert wait_for(job, *ENDED).state is JobState.CANCELLED
    assert wait_for(second, *ENDED).state is JobState.DONE


def test_a_job_outlives_the_server_and_any_other_server_sees_it(project: Path) -> None:
    script = project.parent / "stand_in.py"
    from tests.jobs.conftest import STAND_IN

    script.write_text(STAND_IN)
    code = (
        "import sys; from pathlib import Path; from analysis.jobs.extractions import *;"
        "from analysis.jobs.extractions import devices;"
        "devices._found = (devices.Device('cpu', 'CPU'),);"
        f"start_job(ExtractionRequest(project_dir=Path({str(project)!r})),"
        f" command=[sys.executable, {str(script)!r}, 'wait'])"
    )
    root = ROOT
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=project, env=environment)
    (job,) = list_jobs([project])
    job = wait_for(job, JobState.RUNNING)
    job.output.parent.mkdir(parents=True, exist_ok=True)
    (job.output.parent / "go").touch()
    assert wait_for(job, *ENDED).state is JobState.DONE


def test_replacing_keeps_the_old_payload_as_bak(start: Start) -> None:
    output = wait_for(start("finish"), *ENDED).output
    output.write_text("old")
    assert wait_for(start("finish", IfExists.REPLACE), *ENDED).output == output
    assert output.read_text() == "finish"
    assert output.with_name("dinov3_feature_stats.pt.bak").read_text() == "old"
    assert output.with_name("dinov3_feature_stats.json.bak").read_text() == "{}"


@pytest.mark.parametrize("behaviour", ["refuse", "die"])
def test_a_replacement_that_fails_leaves_the_old_payload_and_nothing_else(
    start: Start, behaviour: str
) -> None:
    output = wait_for(start("finish"), *ENDED).output
    output.write_text("old")
    before = sorted(path.name for path in output.parent.iterdir())
    wait_for(start(behaviour, IfExists.REPLACE), *ENDED)
    assert output.read_text() == "old"
    assert sorted(path.name for path in output.parent.iterdir()) == before


def test_nothing_is_overwritten_unasked(start: Start) -> None:
    output = wait_for(start("finish"), *ENDED).output
    with pytest.raises(ConfigError, match="a payload stands there"):
        start("finish", IfExists.REFUSE)
    beside = wait_for(start("long", IfExists.BESIDE), JobState.RUNNING)
    assert beside.output == output.with_name("dinov3_feature_stats.2.pt")
    assert start("finish", IfExists.BESIDE).output == output.with_name("dinov3_feature_stats.3.pt")


def test_two_jobs_are_never_given_the_same_output(start: Start) -> None:
    first = start("long", IfExists.REFUSE)
    with pytest.raises(ConfigError, match="is about to write it"):
        start("finish", IfExists.REPLACE)
    assert start("finish", IfExists.BESIDE).output != first.output


def test_a_read_only_server_neither_starts_nor_cancels(
    project: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start("long")
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    with pytest.raises(ConfigError, match="read-only"):
        start_job(ExtractionRequest(project_dir=project))
    with pytest.raises(ConfigError, match="read-only"):
        cancel_job(job)
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "0")
    assert wait_for(job, JobState.RUNNING).is_live


def test_a_path_outside_the_roots_is_refused_before_anything_starts(
    project: Path, start: Start
) -> None:
    with pytest.raises(ConfigError, match="outside"):
        start("finish", config=Path("/etc/passwd"))
    with pytest.raises(ConfigError, match="outside"):
        start("finish", head_weights="../../head.pt")
    assert list_jobs([project]) == []


def test_the_extraction_is_asked_for_with_absolute_paths(project: Path, start: Start) -> None:
    job = start("finish", config=Path("configs/train.yaml"), max_images=2, batch_size=3)
    assert f"--config={project}/configs/train.yaml" in job.arguments
    assert f"--output={job.output}" in job.arguments
    assert {"--max-images=2", "--batch-size=3"} <= set(job.arguments)
    assert job.output.name == "dinov3_feature_stats.first2.pt"


def test_the_real_extraction_ends_with_a_payload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.factories.projects import make_project

    project = make_project(tmp_path / "real", images=2, lora=False)
    monkeypatch.chdir(project)
    monkeypatch.setenv("DASHBOARD_QUEUE", str(tmp_path / "queue"))
    job = wait_for(start_job(ExtractionRequest(project_dir=project)), *ENDED, seconds=120)
    assert job.state is JobState.DONE, job.read_log()
    assert (job.done, job.total) == (2, 2)
    assert job.output.exists()
    assert "images" in job.read_log()


def test_a_link_to_a_folder_named_as_a_variable_does_not_lead_the_job_elsewhere(
    project: Path,
) -> None:
    named = project / "${oc.env:NOWHERE,..}"
    named.mkdir()
    (project / "configs/train.yaml").rename(named / "train.yaml")
    (project / "configs/train.yaml").symlink_to(named / "train.yaml")
    request = ExtractionRequest(project_dir=project, config=Path("configs/train.yaml"))
    with pytest.raises(ConfigError, match="stands for a variable"):
        start_job(request, command=("true",))
    assert not list_jobs([project])
