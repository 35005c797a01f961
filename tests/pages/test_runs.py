"""Buttons of jobs and payloads, pressed as a user presses them, over real extractions."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from analysis.files.atomic import write_json
from analysis.jobs.extractions import (
    ExtractionRequest,
    Job,
    JobState,
    cancel_job,
    list_jobs,
    queue,
    start_job,
)
from analysis.jobs.extractions.job import read_job
from analysis.payload.annotation import Annotation
from analysis.payload.annotation_store import FILE
from analysis.payload.annotations import annotate, load_annotations, pin_baseline
from analysis.payload.discovery import load_ref
from pages.components.frame import picker
from tests.factories.payloads import make_payload, write_payload
from tests.factories.projects import make_project
from tests.jobs.conftest import process_id
from tests.pages.conftest import Open, figures, payload_path, texts, version_shown


def _press(app: AppTest, label: str) -> AppTest:
    (button,) = [button for button in app.button if button.label == label]
    return button.click().run()


def _has(app: AppTest, label: str) -> bool:
    return any(button.label == label for button in app.button)


def _wait(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, list_jobs()[0].read_log()
        time.sleep(0.1)


@pytest.fixture
def job(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """Return a real extraction that has saved what it has counted so far."""
    make_project(project, images=400, size=(160, 96), lora=False)
    monkeypatch.setattr(queue, "PREVIEW_EVERY_S", 0.0)
    start_job(ExtractionRequest(project_dir=project, batch_size=1, num_workers=0))
    _wait(lambda: list_jobs()[0].preview)
    yield list_jobs()[0]
    for each in list_jobs():
        cancel_job(each)


def _kill(job: Job) -> None:
    os.killpg(process_id(job), signal.SIGKILL)
    _wait(lambda: not list_jobs()[0].is_live)


def test_what_a_running_job_has_counted_opens_like_a_payload(job: Job, open_page: Open) -> None:
    app = _press(open_page("overview"), "Look at it now")
    assert not app.exception
    assert app.sidebar.selectbox[0].options[0].startswith("partial: ")
    assert "of 400 images" in app.sidebar.selectbox[0].options[0]
    assert "v1 (train_all), partial" in version_shown(app)
    assert "images counted so far" in texts(app)
    app.switch_page("pages/layers.py").run()
    assert not app.exception
    assert figures(app)


def test_finish_now_ends_with_the_payload_of_what_was_counted(
    job: Job, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = _press(open_page("overview"), "Look at it now")
    # a preview that is new at the moment of the click must not swallow the click
    monkeypatch.setattr(picker, "REDRAW_SECONDS", 0)
    _press(app, "Finish now")
    _wait(lambda: not list_jobs()[0].is_live)
    app.run()
    assert not app.exception
    assert list_jobs()[0].state is JobState.DONE
    images = load_ref(job.output).facts.num_images or 0
    assert 0 < images < 400
    assert app.query_params["version"] == load_ref(job.output).key
    assert "compare" not in app.query_params  # the preview is gone, and not compared with
    assert "Where the time went: starting Python" in texts(app.switch_page("pages/runs.py").run())
    assert "Finished early, as asked" in texts(app.switch_page("pages/overview.py").run())


def test_an_interrupted_job_goes_on_from_the_runs_page(job: Job, open_page: Open) -> None:
    _kill(job)
    app = _press(open_page("runs"), "Go on")
    assert not app.exception
    assert list_jobs()[0].is_live
    assert "--resume" in list_jobs()[0].arguments
    assert app.query_params["job"] == list_jobs()[0].id


def test_a_job_is_deleted_only_when_asked_twice(job: Job, open_page: Open) -> None:
    _kill(job)
    app = open_page("runs")
    assert _has(app, "Start again")
    app = _press(app, "Delete for good")  # the answer inside the question that "Delete" opens
    assert not app.exception
    assert list_jobs() == []
    assert "No extraction has been started from here yet" in texts(app)


def test_a_payload_is_renamed_and_noted_on_screen(project: Path, open_page: Open) -> None:
    path = write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    before = path.read_bytes()
    app = open_page("runs")
    app.text_input[0].set_value("Spring *1*")
    app.text_area[0].set_value("fertilised plots")
    app = _press(app, "Save")
    assert not app.exception
    assert load_annotations().of(path) == Annotation("Spring *1*", "fertilised plots")
    assert app.sidebar.selectbox[0].options[0] == "Spring *1*"
    assert version_shown(app.switch_page("pages/overview.py").run()) == "Spring *1*"
    assert path.read_bytes() == before


def test_a_database_that_cannot_be_read_is_a_sentence(project: Path, open_page: Open) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    (project / FILE).write_text("nothing of SQLite" * 10)
    app = _press(open_page("runs"), "Save")
    assert not app.exception
    assert "names and notes cannot be read" in app.sidebar.warning[0].value
    assert "names and notes cannot be written" in app.error[0].value


def test_a_hidden_payload_is_not_offered_but_its_link_works(project: Path, open_page: Open) -> None:
    for version in ("v1", "v2"):
        path = write_payload(payload_path(project, version), make_payload(version=version))
    annotate(path, Annotation(hidden=True))
    app = open_page("overview")
    assert len(app.sidebar.selectbox[0].options) == 1
    linked = open_page("overview", version=load_ref(path).key)
    assert version_shown(linked) == "v2"
    assert "hidden" in open_page("runs").dataframe[0].value["marks"].tolist()


def test_others_are_compared_with_the_baseline_unless_asked_otherwise(
    project: Path, open_page: Open
) -> None:
    paths = [
        write_payload(payload_path(project, version), make_payload(version=version))
        for version in ("v1", "v2", "v3")
    ]
    pin_baseline(paths[0])
    keys = [load_ref(path).key for path in paths]
    app = open_page("layers", version=keys[1])
    assert app.sidebar.multiselect[0].value == [keys[0]]
    assert any(label.startswith("★ v1") for label in app.sidebar.multiselect[0].options)
    other = open_page("layers", version=keys[1], compare=keys[2])
    assert other.sidebar.multiselect[0].value == [keys[2]]


def test_a_payload_is_deleted_only_when_asked_twice(project: Path, open_page: Open) -> None:
    path = write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    app = open_page("runs")
    assert path.exists()
    app = _press(app, "Delete for good")
    assert not app.exception
    assert not path.exists()
    assert "No payload found yet" in texts(app)


def test_a_read_only_server_shows_jobs_and_payloads_without_their_buttons(
    project: Path, job: Job, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_payload(payload_path(project, "v0"), make_payload(version="v0"))
    annotate(path, Annotation(note="look here"))
    _kill(job)
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    app = open_page("runs")
    assert not app.exception
    # which only write into the link
    assert [button.label for button in app.button] == ["Save this view", "Present", "中文"]
    assert "look here" in texts(app)
    monkeypatch.delenv("DASHBOARD_READ_ONLY")


def test_the_disk_that_is_used_is_told(project: Path, open_page: Open) -> None:
    path = write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    app = open_page("runs")
    assert app.metric[0].label == "Payloads"
    assert float(app.metric[0].value.split()[0]) == pytest.approx(
        path.stat().st_size / 1000, rel=0.01
    )
    assert [metric.value for metric in app.metric[1:3]] == ["0 B", "0 B"]


def test_a_running_job_says_how_certain_its_top_channels_are(job: Job, open_page: Open) -> None:
    _wait(lambda: job.preview and (load_ref(job.preview).facts.num_images or 0) >= 30)  # two blocks
    os.killpg(process_id(job), signal.SIGSTOP)  # else it may end before the page is drawn
    try:
        app = open_page("overview")
    finally:
        os.killpg(process_id(job), signal.SIGCONT)
    assert not app.exception
    tables = [table.value for table in app.dataframe]
    (errors,) = [table for table in tables if "mean_error" in table.columns]
    assert len(errors) == 10
    assert (errors["mean_error"] > 0).all()
    assert (errors["std_error"] > 0).all()


def _write_ended_job(project: Path, name: str, version: str, **end: object) -> Job:
    """Write the folder of a job that has ended, with its payload, as its worker leaves them."""
    path = write_payload(payload_path(project, version), make_payload(version=version))
    folder = project / "outputs" / ".jobs" / name
    folder.mkdir(parents=True, mode=0o700)
    asked = {"title": version, "output": str(path), "device": "cpu", "total": 5, "created": 1.0}
    write_json(folder / "job.json", asked)
    write_json(folder / "progress.json", {"state": "done", "done": 5, "total": 5})
    write_json(folder / "exit.json", {"state": "done", "finished": 700.0, "seconds": 600.0, **end})
    job = read_job(folder)
    assert job is not None
    return job


def test_a_finished_extraction_offers_itself_and_changes_nothing(
    project: Path, open_page: Open
) -> None:
    paths = [payload_path(project, version) for version in ("v1", "v2")]
    for path, version in zip(paths, ("v1", "v2"), strict=True):
        write_payload(path, make_payload(version=version))
    first, second = (load_ref(path).key for path in paths)
    app = open_page("overview", version=first, compare=second)
    new = load_ref(_write_ended_job(project, "1", "v3").output).key
    app.run()
    assert (app.query_params["version"], app.query_params["compare"]) == (first, second)
    _press(app, "Open it")
    assert app.query_params["version"] == new
    assert app.query_params["compare"] == f"{second}.{first}"  # what was looked at stays
    assert not _has(app, "Open it")


def test_every_ending_since_the_last_look_is_listed(project: Path, open_page: Open) -> None:
    _write_ended_job(project, "0", "before")
    app = open_page("runs")
    assert not _has(app, "Dismiss")
    _write_ended_job(project, "1", "good")
    _write_ended_job(project, "2", "lost", adapter_error="made for dinov3_vits16")
    app.run()
    assert "Done, adapter NOT loaded** lost" in texts(app)
    assert "made for dinov3\\_vits16" in app.sidebar.error[0].value
    states = app.dataframe[0].value["state"].tolist()
    assert states == ["⚠ done, adapter NOT loaded, new", "✓ done, new", "✓ done"]
    _press(app, "Dismiss all")
    assert app.dataframe[0].value["state"].tolist()[-1] == "✓ done"
    assert not app.sidebar.error


def test_the_time_of_a_job_is_without_its_waiting(project: Path, open_page: Open) -> None:
    _write_ended_job(project, "1", "v1", ran_seconds=61.0)
    assert open_page("runs").dataframe[0].value["took"].tolist() == ["61 s"]
