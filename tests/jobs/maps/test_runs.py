"""Maps in the real process of their own."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis.errors import ConfigError
from analysis.files.atomic import read_json, write_json
from analysis.files.locks import is_locked
from analysis.files.processes import identify
from analysis.files.writing import make_folder
from analysis.jobs.maps import (
    MapRequest,
    Picture,
    Run,
    RunState,
    find_run,
    prepare_run,
    runs,
    start_run,
    stop_run,
)
from analysis.jobs.maps.folder import (
    ALIVE_FILE,
    PROCESS_FILE,
    progress_file,
    request_file,
    runs_folder,
)
from tests.factories.red_square import SIZE, make_red_project


@pytest.fixture
def request_of_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MapRequest:
    monkeypatch.setenv("DASHBOARD_CACHE", str(tmp_path / "cache"))
    project = make_red_project(tmp_path / "project")
    images = sorted((project / "data" / "train").iterdir())[:2]
    return MapRequest(
        backbone="dinov3_vitt16_demo",
        weights=next((project / "weights").glob("*.pth")),
        weights_sha256=None,
        head=None,
        adapter_sha256=None,
        config={},
        image_size=SIZE,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        channels=None,
        pictures=tuple(Picture.of(path) for path in images),
    )


def test_one_process_serves_all_requests_and_names_what_fails(request_of_two: MapRequest) -> None:
    first, second = (
        dataclasses.replace(request_of_two, pictures=(picture,))
        for picture in request_of_two.pictures
    )
    assert find_run(first) is None
    start_run(first)
    ended = _wait(first)
    assert (ended.state, ended.done, ended.total, ended.error) == (RunState.DONE, 1, 1, None)
    assert first.missing() == []
    start_run(second)
    assert _wait(second).state is RunState.DONE
    assert second.missing() == []
    assert _pid(first) == _pid(second)

    gone = Picture(Path("gone.jpg"), "0" * 64)
    broken = dataclasses.replace(request_of_two, pictures=(gone,))
    start_run(broken)
    ended = _wait(broken)
    assert ended.state is RunState.FAILED
    assert "gone.jpg: no such file" in str(ended.error)
    assert _pid(broken) == _pid(first)

    other = dataclasses.replace(request_of_two, weights_sha256="0" * 64)
    start_run(other)
    assert "not the weights that the payload was made with" in str(_wait(other).error)

    first.result_path(first.pictures[0], first.arms[0]).unlink()
    assert find_run(first) is None  # forgotten, which is no failure
    os.kill(_pid(first), signal.SIGTERM)


def test_a_process_that_was_prepared_serves_the_request(request_of_two: MapRequest) -> None:
    prepare_run(request_of_two)
    assert find_run(request_of_two) is None
    assert is_locked(runs_folder() / ALIVE_FILE)
    start_run(request_of_two)
    assert _wait(request_of_two).state is RunState.DONE
    os.kill(_pid(request_of_two), signal.SIGTERM)


def test_a_run_that_is_stopped_keeps_what_it_has_and_can_go_on(request_of_two: MapRequest) -> None:
    many = dataclasses.replace(
        request_of_two, pictures=request_of_two.pictures, image_size=(512, 512)
    )
    start_run(many)
    while len(many.missing()) == 2:
        run = find_run(many)
        assert run is not None
        assert run.state in (RunState.WAITING, RunState.RUNNING)
        time.sleep(0.005)
    stop_run(many)
    ended = _wait(many)
    if many.missing():  # else the last one was done before anybody looked
        assert ended.state is RunState.STOPPED
        assert len(many.missing()) == 1
    start_run(many)
    assert _wait(many).state is RunState.DONE
    os.kill(_pid(many), signal.SIGTERM)


def test_a_request_that_has_not_begun_is_stopped_at_once(request_of_two: MapRequest) -> None:
    start_run(request_of_two)
    run = find_run(request_of_two)
    assert run is not None
    assert (run.state, run.message) == (RunState.WAITING, "starting the process")
    stop_run(request_of_two)
    run = find_run(request_of_two)
    assert run is not None
    assert run.state is RunState.STOPPED
    other = dataclasses.replace(request_of_two, pictures=request_of_two.pictures[:1])
    start_run(other)
    assert _wait(other).state is RunState.DONE
    assert len(request_of_two.missing()) == 1
    os.kill(_pid(other), signal.SIGTERM)


def test_a_process_that_was_killed_is_not_waited_for_nor_its_request_tried_again(
    request_of_two: MapRequest,
) -> None:
    many = dataclasses.replace(request_of_two, image_size=(512, 512))
    start_run(many)
    while not (read_json(_progress(many)) or {}).get("pid"):
        time.sleep(0.005)
    os.kill(_pid(many), signal.SIGKILL)
    ended = _wait(many)
    assert ended.state is RunState.FAILED
    assert "without a message" in str(ended.error)
    other = dataclasses.replace(request_of_two, pictures=request_of_two.pictures[:1])
    start_run(other)
    assert _wait(other).state is RunState.DONE
    assert "was killed" in str(_wait(many).error)
    assert not request_file(runs_folder(), many.key).exists()
    os.kill(_pid(other), signal.SIGTERM)


def test_a_request_that_hangs_is_ended_by_stop_and_the_next_one_served(
    request_of_two: MapRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = dataclasses.replace(request_of_two, image_size=(512, 512))
    start_run(hanging)
    while not (read_json(_progress(hanging)) or {}).get("pid"):
        time.sleep(0.005)
    hung = _pid(hanging)
    os.kill(hung, signal.SIGSTOP)
    waiting = dataclasses.replace(request_of_two, pictures=request_of_two.pictures[:1])
    start_run(waiting)
    stop_run(hanging)
    run = find_run(hanging)
    assert run is not None
    assert run.state is RunState.STOPPING  # it is given some time
    monkeypatch.setattr(runs, "GRACE_S", 0.0)
    assert _wait(waiting).state is RunState.DONE
    assert _pid(waiting) != hung
    assert _wait(hanging).state is RunState.STOPPED
    os.kill(_pid(waiting), signal.SIGTERM)


def test_a_process_that_notes_how_another_ended_is_not_taken_for_that(
    request_of_two: MapRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = runs_folder()
    make_folder(folder)
    command = [sys.executable, "-c", "import time; time.sleep(60)", str(folder)]
    with subprocess.Popen(command) as successor:
        write_json(folder / PROCESS_FILE, identify(successor.pid))
        write_json(_progress(request_of_two), {"state": "failed", "pid": successor.pid})
        request_file(folder, request_of_two.key).write_text("{}")
        stop_run(request_of_two)
        monkeypatch.setattr(runs, "GRACE_S", -1.0)
        find_run(request_of_two)
        with pytest.raises(subprocess.TimeoutExpired):
            successor.wait(0.3)
        write_json(_progress(request_of_two), {"state": "running", "pid": successor.pid})
        find_run(request_of_two)
        assert successor.wait() == -signal.SIGKILL


def test_how_requests_ended_is_forgotten_after_a_day(request_of_two: MapRequest) -> None:
    folder = runs_folder()
    folder.mkdir(parents=True)
    old, new = (progress_file(folder, name) for name in ("old", "new"))
    for path in (old, new):
        path.write_text("{}")
    os.utime(old, (0, 0))
    one = dataclasses.replace(request_of_two, pictures=request_of_two.pictures[:1])
    start_run(one)
    assert _wait(one).state is RunState.DONE
    assert not old.exists()
    assert new.exists()
    os.kill(_pid(one), signal.SIGTERM)


def test_a_read_only_server_starts_nothing(
    request_of_two: MapRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    prepare_run(request_of_two)
    for action in (start_run, stop_run):
        with pytest.raises(ConfigError, match="read-only"):
            action(request_of_two)
    assert find_run(request_of_two) is None
    assert not runs_folder().exists()


def _wait(request: MapRequest) -> Run:
    while True:
        run = find_run(request)
        assert run is not None
        if not run.is_live:
            return run
        time.sleep(0.02)


def _progress(request: MapRequest) -> Path:
    return progress_file(runs_folder(), request.key)


def _pid(request: MapRequest) -> int:
    return int((read_json(_progress(request)) or {})["pid"])
