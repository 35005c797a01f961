"""A small project and its payload, on which interventions run in seconds."""

from __future__ import annotations

from pathlib import Path

from analysis.cli.extract import main
from tests.factories.projects import make_project


def make_measured_project(project: Path, images: int = 3) -> Path:
    """Write a project, extract it, and return the payload."""
    make_project(project, images=images)
    payload = project / "outputs" / "v1" / "feature_stats" / "measured.pt"
    arguments = [f"--project-dir={project}", f"--output={payload}", "--quiet", "--num-workers=0"]
    assert main([*arguments, "--device=cpu"]) == 0
    return payload
