"""A request that no machine could carry out is refused before anything is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from analysis.collect.plan.request import ExtractionRequest, plan_extraction
from analysis.errors import ConfigError
from tests.factories.projects import make_project


def test_more_workers_than_four_a_core_are_refused(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", images=2, lora=False)
    most = 4 * (os.cpu_count() or 1)
    assert plan_extraction(ExtractionRequest(project_dir=project, num_workers=most))
    with pytest.raises(ConfigError, match=f"--num-workers {most + 1}: must be {most} or less"):
        plan_extraction(ExtractionRequest(project_dir=project, num_workers=most + 1))
