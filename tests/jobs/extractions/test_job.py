"""A job folder that a stranger made stops no page and shows nothing from elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from analysis.errors import ConfigError
from analysis.jobs.extractions import ExtractionRequest, list_jobs, measure_disk, start_job
from analysis.jobs.extractions.job import JOBS_DIR, Job

Content = str | Callable[[Path], object]


def make_job(project: Path, files: Mapping[str, Content] | None = None, **asked: Any) -> Path:
    folder = project / JOBS_DIR / "20200101-000000-000000001"
    folder.mkdir(parents=True)
    output = project / "outputs" / "v1" / "feature_stats" / "a.pt"
    job = json.dumps({"output": str(output), "title": "t"} | asked)
    for name, content in ({"job.json": job} | dict(files or {})).items():
        if isinstance(content, str):
            (folder / name).write_text(content)
        else:
            content(folder / name)
    return folder


def use(jobs: list[Job]) -> None:
    """Touch all of a job that pages touch."""
    measure_disk([], jobs)
    for job in jobs:
        for text in (job.title, job.message, job.error or "", job.read_log(), *job.arguments):
            assert isinstance(text, str)
        assert (job.seconds or 0) < 1e10
        assert job.created < 1e10
        assert all(name and seconds >= 0 for name, seconds in job.phases)
        job.output.exists()


@pytest.mark.parametrize(
    "files",
    [
        {"job.json": os.mkfifo},
        {"job.json": "[" * 100_000},
        {"progress.json": '{"a":' * 100_000},
        {"progress.json": os.mkfifo},
        {"exit.json": os.mkfifo},
        {"alive.lock": os.mkfifo},
        {"log.txt": os.mkfifo},
        {"exit.json": '{"state": "failed", "error": {"a": 1}}'},
        {"exit.json": '{"state": [1]}'},
        {"progress.json": '{"state": {"a": 1}}'},
        {"exit.json": '{"state": "done", "finished": 1, "seconds": 1e14}'},
        {"progress.json": '{"phases": {"a": 1}}'},
        {"progress.json": '{"phases": [["a"], 3, ["b", "c"], [1, 2], ["d", -1], ["e", NaN]]}'},
    ],
)
def test_a_hostile_file_of_a_job_stops_no_page(project: Path, files: dict[str, Content]) -> None:
    make_job(project, files)
    use(list_jobs([project]))


@pytest.mark.parametrize(
    "asked",
    [
        {"arguments": 5},
        {"arguments": ["x"] * 10**5},
        {"created": 1e14},
        {"output": "/x\0y.pt"},
        {"output": "/\ud800/x.pt"},
        {"output": ""},
        {"output": "/" + "x" * 5000 + ".pt"},
        {"output": [1]},
        {"total": 1e300},
        {"title": "x" * 10**5},
    ],
)
def test_a_hostile_value_of_a_job_stops_no_page(project: Path, asked: dict[str, Any]) -> None:
    make_job(project, **asked)
    use(list_jobs([project]))


def test_a_job_that_would_write_what_is_no_payload_is_none(project: Path) -> None:
    folder = make_job(project, output=str(project / "app.py"))
    assert list_jobs([project]) == []
    outside = project.parent / "feature_stats" / "a.pt"
    (folder / "job.json").write_text(json.dumps({"output": str(outside)}))
    assert list_jobs([project]) == []


def test_a_job_tells_how_long_each_phase_took(project: Path) -> None:
    make_job(project, {"progress.json": '{"phases": [["importing torch", 2.5], ["running", 4]]}'})
    (job,) = list_jobs([project])
    assert job.phases == (("importing torch", 2.5), ("running", 4.0))


def test_a_log_that_is_a_link_is_not_shown(project: Path) -> None:
    secret = project.parent / "secret.txt"
    secret.write_text("secret")
    make_job(project, {"log.txt": lambda path: path.symlink_to(secret)})
    (job,) = list_jobs([project])
    assert job.read_log() == ""


def test_jobs_behind_a_link_are_not_listed(project: Path) -> None:
    other = project.parent / "other"
    make_job(other, output=str(project / "outputs" / "feature_stats" / "a.pt"))
    (project / "link").symlink_to(other)
    assert list_jobs() == []
    (project / "outputs").mkdir(exist_ok=True)
    (project / JOBS_DIR).symlink_to(other / JOBS_DIR)
    assert list_jobs([project]) == []


def test_a_start_writes_nothing_behind_a_link(project: Path) -> None:
    away = project.parent / "away"
    away.mkdir()
    (project / "outputs").mkdir(exist_ok=True)
    (project / JOBS_DIR).symlink_to(away)
    with pytest.raises(ConfigError, match="is a link"):
        start_job(ExtractionRequest(project_dir=project, num_workers=0), command=("/bin/true",))
    assert list(away.iterdir()) == []


def test_a_queue_that_a_neighbour_put_there_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (tmp_path / "theirs").symlink_to(away)
    monkeypatch.setenv("DASHBOARD_QUEUE", str(tmp_path / "theirs"))
    with pytest.raises(ConfigError, match="is a link"):
        start_job(ExtractionRequest(project_dir=project, num_workers=0), command=("/bin/true",))
    assert list_jobs([project]) == []
