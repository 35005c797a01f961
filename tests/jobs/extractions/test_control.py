"""Jobs ended early, started again, deleted: with real processes, as a user's buttons do it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from analysis.collect.plan.flags import parse_arguments
from analysis.errors import ConfigError
from analysis.jobs.extractions import (
    ExtractionRequest,
    IfExists,
    Job,
    JobState,
    can_resume,
    cancel_job,
    delete_job,
    finish_job,
    list_jobs,
    list_outputs_being_written,
    measure_disk,
    restart_job,
    start_job,
)
from analysis.payload.annotations import delete_payload
from analysis.payload.discovery import load_ref
from tests.factories.projects import make_project
from tests.jobs.conftest import Start, process_id, stand_in, wait_for

ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


def _kill(job: Job) -> Job:
    os.killpg(process_id(job), signal.SIGKILL)
    return wait_for(job, JobState.FAILED)


def _interrupted(start: Start, if_exists: IfExists = IfExists.BESIDE) -> Job:
    """Return a job that was killed after its first checkpoint."""
    return _kill(_counting(start, if_exists))


def _counting(start: Start, if_exists: IfExists = IfExists.BESIDE) -> Job:
    job = wait_for(start("long", if_exists), JobState.RUNNING)
    while not list(job.output.parent.glob("*.checkpoint")):
        pass
    return job


def test_finishing_keeps_what_was_counted(start: Start) -> None:
    job = _counting(start)
    finish_job(job)
    job = wait_for(job, *ENDED)
    assert (job.state, job.error) == (JobState.DONE, None)
    assert job.output.read_text() == "finish early"


def test_a_job_that_waits_cannot_be_finished_and_lives_on(start: Start) -> None:
    _counting(start)
    waiting = wait_for(start("finish"), JobState.WAITING)
    with pytest.raises(ConfigError, match="not counted anything yet"):
        finish_job(waiting)
    assert wait_for(waiting, JobState.WAITING).is_live


def test_finishing_a_job_that_has_ended_does_nothing(start: Start) -> None:
    job = wait_for(start("finish"), *ENDED)
    finish_job(job)
    assert wait_for(job, *ENDED).state is JobState.DONE


def test_a_preview_is_there_only_while_the_job_lives(start: Start) -> None:
    job = wait_for(_counting(start), JobState.RUNNING)
    assert job.preview == job.folder / "preview.pt"
    finish_job(job)
    job = wait_for(job, *ENDED)
    assert job.preview is None
    assert not (job.folder / "preview.pt").exists()


def test_an_interrupted_job_goes_on_with_what_it_had_counted(start: Start, project: Path) -> None:
    job = _interrupted(start)
    assert can_resume(job)
    again = restart_job(job, resume=True, command=stand_in(project, "finish"))
    if again.state in (JobState.WAITING, JobState.PREPARING):
        assert again.done == job.done == 2  # not from 0 while it prepares
    again = wait_for(again, *ENDED)
    assert "--resume" in again.arguments
    assert set(again.arguments) - {"--resume"} == set(job.arguments)
    assert (again.state, again.output) == (JobState.DONE, job.output)


def test_a_job_started_again_from_the_start_asks_for_the_same(start: Start, project: Path) -> None:
    job = _interrupted(start)
    again = wait_for(restart_job(job, command=stand_in(project, "finish")), *ENDED)
    assert again.arguments == job.arguments
    assert again.output == job.output


def test_a_finished_job_started_again_is_saved_beside(start: Start, project: Path) -> None:
    job = wait_for(start("finish"), *ENDED)
    assert not can_resume(job)
    with pytest.raises(ConfigError, match="nothing to go on with"):
        restart_job(job, resume=True)
    again = wait_for(restart_job(job, command=stand_in(project, "finish")), *ENDED)
    assert again.output == job.output.with_name("dinov3_feature_stats.2.pt")
    assert job.output.read_text() == "finish"


def test_an_interrupted_replacement_still_replaces(start: Start, project: Path) -> None:
    output = wait_for(start("finish"), *ENDED).output
    output.write_text("old")
    job = _interrupted(start, IfExists.REPLACE)
    again = restart_job(job, resume=True, command=stand_in(project, "finish"))
    assert wait_for(again, *ENDED).output == output
    assert output.read_text() == "finish"
    assert output.with_name(f"{output.name}.bak").read_text() == "old"


def test_a_job_that_lives_can_neither_be_started_again_nor_deleted(start: Start) -> None:
    job = _counting(start)
    with pytest.raises(ConfigError, match="has not ended"):
        restart_job(job)
    with pytest.raises(ConfigError, match="has not ended"):
        delete_job(job)
    assert wait_for(job, JobState.RUNNING).is_live


def test_two_jobs_never_go_on_with_the_same_checkpoint(start: Start, project: Path) -> None:
    job = _interrupted(start)
    restart_job(job, resume=True, command=stand_in(project, "long"))
    with pytest.raises(ConfigError, match="about to write it"):
        restart_job(job, resume=True, command=stand_in(project, "long"))


def test_a_request_that_leads_outside_by_now_is_refused(start: Start, project: Path) -> None:
    job = wait_for(start("refuse", config=Path("configs/train.yaml")), *ENDED)
    (project / "configs" / "train.yaml").unlink()
    (project / "configs" / "train.yaml").symlink_to("/etc/passwd")
    with pytest.raises(ConfigError, match="outside"):
        restart_job(job)


def test_a_deleted_job_is_gone_and_its_payload_stays(start: Start, project: Path) -> None:
    job = wait_for(start("finish"), *ENDED)
    delete_job(job)
    assert list_jobs([project]) == []
    assert not job.folder.exists()
    assert job.output.exists()


def test_deleting_an_interrupted_job_deletes_what_it_had_counted(start: Start) -> None:
    job = _interrupted(start)
    delete_job(job)
    assert not list(job.output.parent.glob("*.checkpoint"))


def test_a_checkpoint_that_another_job_goes_on_with_is_not_deleted(
    start: Start, project: Path
) -> None:
    job = _interrupted(start)
    other = restart_job(job, resume=True, command=stand_in(project, "long"))
    wait_for(other, JobState.RUNNING)
    delete_job(job)
    assert list(job.output.parent.glob("*.checkpoint"))


def test_a_read_only_server_neither_finishes_nor_restarts_nor_deletes(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = wait_for(start("finish"), *ENDED)
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    for change in (finish_job, restart_job, delete_job):
        with pytest.raises(ConfigError, match="read-only"):
            change(job)
    monkeypatch.delenv("DASHBOARD_READ_ONLY")


def test_disk_use_counts_each_kind_of_file(start: Start) -> None:
    done = wait_for(start("finish"), *ENDED)
    job = _interrupted(start)
    backup = done.output.with_name(f"{done.output.name}.bak")
    backup.write_bytes(b"12345")
    use = measure_disk([done.output], [done, job])
    assert use.payloads == len("finish") + 5
    assert use.checkpoints == len("2")
    assert use.jobs == sum(
        file.stat().st_size for one in (done, job) for file in one.folder.iterdir()
    )


def test_a_request_comes_back_from_its_command_line() -> None:
    request = ExtractionRequest(
        project_dir=Path("/p"), max_images=3, head_weights="none", strict=True, extras=False
    )
    assert parse_arguments(request.to_arguments()) == request
    with pytest.raises(ConfigError, match="cannot be read any more"):
        parse_arguments(["--no-such-flag"])


def test_the_real_extraction_is_finished_early_and_resumed_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "real", images=400, size=(160, 96), lora=False)
    monkeypatch.chdir(project)
    monkeypatch.setenv("DASHBOARD_QUEUE", str(tmp_path / "queue"))
    request = ExtractionRequest(
        project_dir=project, batch_size=1, num_workers=0, checkpoint_every=0.0
    )
    job = wait_for(start_job(request), JobState.RUNNING, done=2, seconds=120)
    assert job.preview is not None
    assert 0 < int(load_ref(job.preview).facts.num_images or 0) < 400
    killed = _kill(job)
    again = restart_job(killed, resume=True)
    counted = wait_for(again, JobState.RUNNING, done=killed.done, seconds=120)
    finish_job(counted)
    ended = wait_for(counted, *ENDED, seconds=120)
    assert ended.state is JobState.DONE, ended.read_log()
    images = load_ref(ended.output).facts.num_images
    assert images is not None
    assert killed.done <= images < 400
    assert "resuming after" in ended.read_log(40)
    assert not list(ended.output.parent.glob("*.checkpoint"))


def test_a_waiting_job_that_is_cancelled_is_deleted_with_its_folder(start: Start) -> None:
    _counting(start)
    waiting = wait_for(start("finish"), JobState.WAITING)
    cancel_job(waiting)
    delete_job(wait_for(waiting, *ENDED))
    assert not waiting.folder.exists()


def test_a_payload_that_is_about_to_be_replaced_is_not_deleted(start: Start) -> None:
    output = wait_for(start("finish"), *ENDED).output
    _counting(start, IfExists.REPLACE)
    with pytest.raises(ConfigError, match="about to write it"):
        delete_payload(output, being_written=list_outputs_being_written())
    assert output.exists()
