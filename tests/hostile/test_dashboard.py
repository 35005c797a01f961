"""The dashboard over files from strangers: each gets a sentence, and the next page opens."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from analysis.payload.discovery import load_ref
from tests.factories.payloads import make_payload, write_payload
from tests.hostile import corpus
from tests.pages.conftest import Open, open_page, payload_path, project, texts, version_shown

__all__ = ["open_page", "project"]  # fixtures


@pytest.fixture
def hostile(project: Path, tmp_path: Path) -> list[Path]:
    """Write hostile payloads below a project dir that also holds a good one; return them."""
    write_payload(payload_path(project, "good"), make_payload(version="good"))
    marker = tmp_path / "marker" / "executed"
    kinds = (corpus._pickles, corpus._archives, corpus._payloads)
    cases = [
        case
        for kind in kinds
        for case in kind(project / "outputs" / kind.__name__.strip("_"), marker)
    ]
    return corpus.payload_files(cases)


def open_all(files: list[Path], open_page: Open, folder: Path) -> dict[str, int]:
    """Open each file as a page; return how many were shown, and how many got a sentence."""
    ended = {"shown": 0, "refused in a sentence": 0}
    for path in files:
        key = load_ref(path).key
        app = open_page("overview", version=key)
        assert not app.exception, path
        assert shown(app), path
        ended["shown" if is_open(app) else "refused in a sentence"] += 1
    after = open_page("overview", version=load_ref(payload_path(folder, "good")).key)
    assert version_shown(after) == "good"
    assert list((folder.parent / "marker").glob("*")) == []
    return ended


def shown(app: AppTest) -> bool:
    """Whether the page says what is wrong, or shows the payload."""
    return is_open(app) or "cannot be shown" in texts(app)


def is_open(app: AppTest) -> bool:
    """Whether Overview names a version in its title."""
    return version_shown(app) != "Overview"


def test_the_dashboard_says_a_sentence_of_hostile_files(
    hostile: list[Path], open_page: Open, project: Path
) -> None:
    assert len(hostile) > 500
    open_all(hostile[::80], open_page, project)


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
def test_the_dashboard_says_a_sentence_of_every_hostile_file(
    hostile: list[Path], open_page: Open, project: Path
) -> None:
    """Write the counts to the file that the environment variable `SOAK_DASHBOARD` names."""
    began = time.monotonic()
    ended = open_all(hostile, open_page, project)
    if name := os.environ.get("SOAK_DASHBOARD"):
        result = {
            "files": len(hostile),
            "ended": ended,
            "tracebacks": 0,
            "seconds": round(time.monotonic() - began),
        }
        Path(name).write_text(json.dumps(result, indent=2) + "\n")
