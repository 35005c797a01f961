"""What a second round of attacks made, through the readers themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.corpus import build_crafted
from tests.hostile.harness import run_cases


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_crafted_settings_archives_headers_and_scores_stay_within_their_bounds(
    tmp_path: Path,
) -> None:
    cases = list(build_crafted(tmp_path, tmp_path / "executed"))
    assert len({case.path for case in cases}) >= 120
    outcomes = run_cases(cases)
    print(len({case.path for case in cases}), "files,", len(cases), "readings")
    assert [(one.case.name, one.fault) for one in outcomes if one.fault] == []
