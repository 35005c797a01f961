"""The harness notices what it is there to notice: readers planted with each fault are caught."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hostile.corpus import Case
from tests.hostile.harness import MAX_BYTES, Outcome, run_cases
from tests.hostile.pickles import START, STOP, call, text
from tests.hostile.readers import READERS

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="measures memory through Linux's /proc"
)

PLANTED = [name for name in READERS if name.startswith("planted: ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planted")


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, Outcome]:
    """Run every planted reader, and at last one that works, which must not suffer."""
    pipe, file, good = folder / "pipe", folder / "file.pt", folder / "good.json"
    os.mkfifo(pipe)
    file.write_bytes(START + call("os.system", text(f"touch {folder / 'executed'}")) + STOP)
    good.write_text("{}")
    cases = [Case(name, name, pipe if "waits" in name else file) for name in PLANTED]
    cases.append(Case("good", "sidecar", good, expected="any"))
    return {one.case.name.removeprefix("planted: "): one for one in run_cases(cases, idle=2)}


def test_a_reader_that_trusts_a_pickle_leaves_the_marker(
    outcomes: dict[str, Outcome], folder: Path
) -> None:
    assert outcomes["trusts"].fault == "opened: 0"
    assert (folder / "executed").exists()


@pytest.mark.parametrize(
    ("reader", "fault"),
    [
        pytest.param("waits for a pipe", "hung", id="pipe"),
        pytest.param("spins", "hung", id="endless loop"),
        pytest.param("crashes", "died SIGABRT", id="crash"),
        pytest.param("raises", "escaped KeyError", id="another error"),
        pytest.param("asks for too much", "escaped MemoryError", id="no memory"),
        pytest.param("talks", "more than one line", id="two lines"),
        pytest.param("mumbles", "does not name the file", id="no name"),
    ],
)
def test_a_reader_with_a_fault_is_caught(
    outcomes: dict[str, Outcome], reader: str, fault: str
) -> None:
    assert str(outcomes[reader].fault).startswith(fault)


def test_a_reader_that_takes_memory_and_gives_it_back_is_caught(
    outcomes: dict[str, Outcome],
) -> None:
    assert outcomes["gorges"].bytes > MAX_BYTES
    assert outcomes["gorges"].fault


def test_a_reader_that_works_too_long_is_caught(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["dawdles"].seconds > outcomes["dawdles"].allowed
    assert "took" in str(outcomes["dawdles"].fault)


def test_a_reader_that_works_is_not(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["good"].fault is None
