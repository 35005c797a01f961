"""Small files from which a reader could make gigabytes, through the readers themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages.components.shared.facts import MAX_WARNINGS, list_warnings
from tests.factories.payloads import make_table
from tests.hostile.corpus import build_amplified
from tests.hostile.harness import run_cases


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_what_one_tensor_or_packed_list_would_become_is_refused_before_it_is_made(
    tmp_path: Path,
) -> None:
    outcomes = run_cases(build_amplified(tmp_path, tmp_path / "executed"))
    assert [(one.case.name, one.fault) for one in outcomes if one.fault] == []


def test_of_very_many_warnings_the_first_are_shown_and_the_others_counted() -> None:
    shown = list_warnings(make_table(warnings=[f"warning {n}" for n in range(100_000)]))
    assert len(shown) == MAX_WARNINGS + 1
    assert shown[0] == "warning 0"
    assert "99,950 more" in shown[-1]
