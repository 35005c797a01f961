"""The harness notices what it is there to notice: readers planted with each fault are caught."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hostile.corpus import Case
from tests.hostile.harness import MAX_BYTES, MAX_SECONDS, Outcome, run_cases
from tests.hostile.pickles import START, STOP, call, text

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="measures memory through Linux's /proc"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    marker = text(f"touch {tmp_path / 'executed'}")
    path = tmp_path / "file.pt"
    path.write_bytes(START + call("os.system", marker) + STOP)
    return path


def run_planted(reader: str, path: Path, *, patience: float = 20) -> Outcome:
    """Run a planted reader, and behind it one that works, which must not suffer."""
    good = path.with_suffix(".json")
    good.write_text("{}")
    cases = [Case(reader, f"planted: {reader}", path), Case("good", "sidecar", good, "any")]
    planted, after = run_cases(cases, patience=patience)
    assert after.fault is None
    return planted


def test_a_reader_that_trusts_a_pickle_leaves_the_marker(file: Path) -> None:
    assert "opened" in str(run_planted("trusts", file).fault)
    assert (file.parent / "executed").exists()


def test_a_reader_that_waits_for_a_pipe_counts_as_hanging(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    outcome = run_planted("hangs", tmp_path / "pipe", patience=2)
    assert (outcome.kind, outcome.fault) == ("hung", "hung ")


def test_a_reader_in_an_endless_loop_counts_as_hanging(file: Path) -> None:
    assert run_planted("spins", file, patience=2).kind == "hung"


def test_a_reader_that_takes_memory_and_gives_it_back_is_caught(file: Path) -> None:
    outcome = run_planted("gorges", file)
    assert outcome.bytes > MAX_BYTES


def test_a_reader_that_works_too_long_is_caught(file: Path) -> None:
    outcome = run_planted("dawdles", file)
    assert outcome.seconds > MAX_SECONDS
    assert "took" in str(outcome.fault)


def test_a_crash_and_another_error_than_the_readers_own_are_caught(file: Path) -> None:
    assert run_planted("crashes", file).fault == "died SIGABRT"
    assert "KeyError" in str(run_planted("raises", file).fault)
    assert "MemoryError" in str(run_planted("asks for too much", file).fault)


def test_an_error_must_be_one_line_that_names_the_file(file: Path) -> None:
    assert "more than one line" in str(run_planted("talks", file).fault)
    assert "does not name" in str(run_planted("mumbles", file).fault)
