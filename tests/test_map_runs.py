"""Maps in the real process of their own."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from pathlib import Path

import pytest

from analysis.errors import ConfigError
from analysis.jobs.job import read_json
from analysis.maps import MapRequest, Picture, Run, find_run, start_run
from analysis.maps.runs import progress_file, run_folder
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


def test_one_process_serves_all_requests_to_its_network_and_names_what_fails(
    request_of_two: MapRequest,
) -> None:
    first, second = (
        dataclasses.replace(request_of_two, pictures=(picture,))
        for picture in request_of_two.pictures
    )
    assert find_run(first) is None
    start_run(first)
    assert _wait(first) == Run(False, 1, 1, _wait(first).message, None)
    assert first.missing() == []
    start_run(second)
    assert _wait(second).error is None
    assert second.missing() == []
    assert _pid(first) == _pid(second)

    gone = Picture(Path("gone.jpg"), "0" * 64)
    broken = dataclasses.replace(request_of_two, pictures=(gone,))
    start_run(broken)
    assert "gone.jpg: no such file" in str(_wait(broken).error)
    assert _pid(broken) == _pid(first)
    os.kill(_pid(first), signal.SIGTERM)


def test_weights_that_were_not_measured_are_refused(request_of_two: MapRequest) -> None:
    other = dataclasses.replace(request_of_two, weights_sha256="0" * 64)
    start_run(other)
    assert "not the weights that the payload was made with" in str(_wait(other).error)
    os.kill(_pid(other), signal.SIGTERM)


def test_a_process_that_was_killed_is_not_waited_for(request_of_two: MapRequest) -> None:
    start_run(request_of_two)
    while not (read_json(_progress(request_of_two)) or {}).get("pid"):
        time.sleep(0.02)
    os.kill(_pid(request_of_two), signal.SIGKILL)
    ended = _wait(request_of_two)
    assert ended.error is None or "without a message" in ended.error
    assert ended.error or not request_of_two.missing()  # it may have been done already


def test_a_read_only_server_starts_nothing(
    request_of_two: MapRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    with pytest.raises(ConfigError, match="read-only"):
        start_run(request_of_two)
    assert find_run(request_of_two) is None


def _wait(request: MapRequest) -> Run:
    while True:
        run = find_run(request)
        assert run is not None
        if not run.is_live:
            return run
        time.sleep(0.05)


def _progress(request: MapRequest) -> Path:
    return progress_file(run_folder(request), request.key)


def _pid(request: MapRequest) -> int:
    return int((read_json(_progress(request)) or {})["pid"])
