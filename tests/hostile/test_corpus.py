"""Files from strangers: refused or opened, quickly, in little memory; nothing in them runs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.corpus import Case, build_corpus, payload_files
from tests.hostile.harness import Outcome, run_cases

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="measures memory through Linux's /proc"
)


@pytest.fixture(scope="module")
def marker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("marker") / "executed"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Not in pytest's own folder, which nobody but its owner may enter.
    folder = Path(tempfile.mkdtemp()).resolve()
    folder.chmod(0o755)
    yield folder
    for place in folder.glob("places/*/sealed/feature_stats"):
        place.chmod(0o700)
    shutil.rmtree(folder)  # 400 MB


@pytest.fixture(scope="module")
def corpus(folder: Path, marker: Path) -> list[Case]:
    return build_corpus(folder, marker)


def report(outcomes: list[Outcome]) -> list[str]:
    return [f"{one.case.reader}: {one.case.name}: {one.fault}" for one in outcomes if one.fault]


def test_every_hostile_file_is_refused_by_name_or_opened_within_its_bounds(
    corpus: list[Case], marker: Path
) -> None:
    assert len({case.path for case in corpus}) >= 200
    outcomes = run_cases(corpus)
    slowest = max(outcomes, key=lambda one: one.seconds)
    largest = max(outcomes, key=lambda one: one.bytes)
    print(f"{len({case.path for case in corpus})} files, {len(corpus)} readings")
    print(f"{slowest.seconds:.2f} s: {slowest.case.reader} of {slowest.case.name}")
    print(f"{largest.bytes / 1e6:.0f} MB: {largest.case.reader} of {largest.case.name}")
    assert report(outcomes) == []
    assert not marker.exists()
    assert list(marker.parent.iterdir()) == []


def test_the_dashboard_finds_every_hostile_file_without_opening_or_following_it(
    folder: Path, corpus: list[Case]
) -> None:
    (outcome,) = run_cases([Case("the folder", "discover", folder, expected="any")])
    assert outcome.fault is None
    assert outcome.kind == "opened"
    assert len(payload_files(corpus)) > 200
