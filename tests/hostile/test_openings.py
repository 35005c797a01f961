"""The process of a server opens nothing that a stranger wrote, but what is named here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.cli.extract import main
from analysis.payload.annotations import Annotation, annotate
from tests import ROOT
from tests.factories.red_square import CHANNEL, make_red_project
from tests.pages.conftest import PAGES, payload_path

OWN = {
    r"\.streamlit/config\.toml": "Streamlit's own",
    r"(outputs/)?\.dashboard\.sqlite(-journal)?": "names and notes",
    r"outputs/\.jobs/[^/]+/(job|progress|exit|worker)\.json": "the list of jobs",
    r"outputs/\.jobs/[^/]+/(alive\.lock|log\.txt)": "the list of jobs",
    r".*\.features\.safetensors": "numbers whose place a reader has judged",
}
"""By file: what the server opens, as docs/reliability.md says and why."""


@pytest.mark.timeout(600)
def test_a_server_opens_no_file_of_a_project_dir_but_its_own_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_red_project(tmp_path / "project")
    config = project / "configs" / "train.yaml"
    for version in ("v1", "v2"):
        config.write_text(config.read_text().replace("version: v1", f"version: {version}"))
        assert main(["--project-dir", str(project), "--quiet", "--num-workers", "0"]) == 0
    monkeypatch.chdir(project)
    written = payload_path(project, "v1")
    annotate(written, Annotation(name="Spring"))
    job = project / "outputs" / ".jobs" / "20260101-000000-000000001"
    job.mkdir(parents=True, mode=0o700)
    (job / "job.json").write_text(json.dumps({"output": str(written), "title": "t"}))
    (job / "log.txt").write_text("a line\n")
    (project / ".streamlit").mkdir()
    shutil.copy(ROOT / ".streamlit" / "config.toml", project / ".streamlit")
    found = subprocess.run(
        [sys.executable, "-m", "tests.hostile.openings", f"channel={CHANNEL}"],
        cwd=project,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DASHBOARD_CACHE": str(tmp_path / "cache"),
            "DASHBOARD_QUEUE": str(tmp_path / "queue"),
            "DASHBOARD_STANDBY": "0",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(found.stdout.splitlines()[-1])
    assert {name.split()[0] for name in result["shown"]} == set(PAGES)
    assert all(len(texts) == 1 for texts in result["shown"].values()), result["shown"]
    strange = {
        file: by
        for file, by in result["files"].items()
        if not any(re.fullmatch(name, file) for name in OWN)
    }
    assert not strange
    assert any(file.endswith(".sqlite") for file in result["files"]), "nothing was listed"
