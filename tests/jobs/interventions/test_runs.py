"""An intervention in the real process of its own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from analysis.errors import ConfigError
from analysis.files.atomic import read_json, write_json
from analysis.jobs.interventions import (
    InterventionRequest,
    InterventionRun,
    RunState,
    find_run,
    runs,
    start_run,
    stop_run,
)
from analysis.jobs.interventions.folder import (
    LOG_FILE,
    PROCESS_FILE,
    PROGRESS_FILE,
    run_folder,
)
from analysis.payload.intervention_file import load_interventions
from tests.factories.measured_project import make_measured_project

REQUEST = InterventionRequest(layer=3, top=2, max_images=2, draws=1)


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_measured_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, payload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DASHBOARD_ROOTS", str(payload.parents[3]))


def _wait(payload: Path, request: InterventionRequest) -> InterventionRun:
    while True:
        run = find_run(payload, request)
        assert run is not None
        if run.state is not RunState.RUNNING:
            return run
        time.sleep(0.05)


def test_a_run_ends_with_its_result(payload: Path) -> None:
    assert find_run(payload, REQUEST) is None
    start_run(payload, REQUEST)
    run = _wait(payload, REQUEST)
    assert (run.state, run.error, run.done, run.total) == (RunState.DONE, None, 2, 2)
    assert run.result is not None
    result = load_interventions(run.result)
    assert [arm.is_control for arm in result.arms] == [False, True]
    assert len(result.arms[0].channels) == 2


def test_what_cannot_be_run_is_said(payload: Path) -> None:
    request = InterventionRequest(layer=99)
    start_run(payload, request)
    run = _wait(payload, request)
    assert run.state is RunState.FAILED
    assert "Layer 99 is not in this payload" in str(run.error)


def test_a_run_that_is_stopped_says_so(payload: Path) -> None:
    request = InterventionRequest(sweep=True, max_images=3, draws=10)
    start_run(payload, request)
    while (run := find_run(payload, request)) and not run.total:
        time.sleep(0.02)
    stop_run(payload, request)
    assert _wait(payload, request).state is RunState.CANCELLED


def test_a_run_that_hangs_is_ended_by_stop(payload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = InterventionRequest(sweep=True, max_images=3, draws=9)
    start_run(payload, request)
    folder = run_folder(payload, request, None)
    while not (identity := read_json(folder / PROCESS_FILE)):
        time.sleep(0.02)
    os.kill(identity["pid"], signal.SIGSTOP)
    stop_run(payload, request)
    run = find_run(payload, request)
    assert run is not None
    assert run.state is RunState.RUNNING  # it is given some time
    monkeypatch.setattr(runs, "GRACE_S", 0.0)
    ended = _wait(payload, request)
    assert (ended.state, ended.error) == (RunState.CANCELLED, None)
    start_run(payload, request)  # asked for anew
    run = find_run(payload, request)
    assert run is not None
    assert run.state is RunState.RUNNING
    stop_run(payload, request)
    _wait(payload, request)


def test_a_read_only_server_starts_nothing(payload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    with pytest.raises(ConfigError, match="read-only"):
        start_run(payload, REQUEST)
    assert find_run(payload, REQUEST) is None


def test_what_did_not_move_on_is_told_from_what_was_killed(payload: Path) -> None:
    folder = run_folder(payload, REQUEST, None)
    folder.mkdir(parents=True)
    write_json(folder / PROGRESS_FILE, {"state": "running"})
    (folder / LOG_FILE).write_text("Timeout (1:00:00)!\nThread 0x1 (most recent call first):\n")
    run = find_run(payload, REQUEST)
    assert run is not None
    assert "did not move on for 1 h" in str(run.error)
