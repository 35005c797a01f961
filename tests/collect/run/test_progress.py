"""The progress file tells the truth at every moment a reader may look."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.collect.run import progress
from analysis.collect.run.progress import Progress, ProgressReporter


def read(path: Path) -> Progress:
    return Progress(**json.loads(path.read_text()))


def test_every_state_change_is_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    reporter = ProgressReporter(path, quiet=True)
    states = []
    reporter.say("preparing", "loading the backbone")
    states.append(read(path).state)
    reporter.begin(total=10)
    states.append(read(path).state)
    reporter.end("failed", error="no such file")
    states.append(read(path).state)
    assert states == ["preparing", "running", "failed"]
    assert read(path).error == "no such file"


def test_advances_are_written_at_most_twice_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(step * 0.1 for step in range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    path = tmp_path / "progress.json"
    reporter = ProgressReporter(path, quiet=True)
    reporter.begin(total=100)
    written = set()
    for _ in range(20):
        reporter.advance(1)
        written.add(path.stat().st_ino)
    assert 1 < len(written) <= 10


def test_rate_counts_only_the_images_of_this_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.0, 2.0, 2.0, 9.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    reporter = ProgressReporter(tmp_path / "progress.json", quiet=True)
    reporter.begin(total=100, done=60)
    reporter.advance(20)
    assert reporter.progress.images_per_second == pytest.approx(10.0)
    assert reporter.progress.seconds_left == pytest.approx(2.0)


def test_no_temporary_file_stays(tmp_path: Path) -> None:
    reporter = ProgressReporter(tmp_path / "progress.json", quiet=True)
    reporter.begin(total=1)
    reporter.advance(1)
    reporter.end("done")
    assert [file.name for file in tmp_path.iterdir()] == ["progress.json"]


def test_without_a_file_nothing_is_written(tmp_path: Path) -> None:
    reporter = ProgressReporter(None, quiet=True)
    reporter.begin(total=1)
    reporter.end("done")
    assert list(tmp_path.iterdir()) == []
