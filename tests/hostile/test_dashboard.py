"""The dashboard over files from strangers: each gets a sentence, and the next page opens."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from analysis.payload.discovery import load_ref
from tests.factories.payloads import make_payload, write_payload
from tests.hostile import corpus
from tests.pages.conftest import Open, open_page, payload_path, project, texts

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


def open_all(files: list[Path], open_page: Open, folder: Path) -> None:
    for path in files:
        key = load_ref(path).key
        app = open_page("overview", version=key)
        assert not app.exception, path
        assert shown(app), path
    after = open_page("overview", version=load_ref(payload_path(folder, "good")).key)
    assert after.metric[0].value == "good"
    assert list((folder.parent / "marker").glob("*")) == []


def shown(app: AppTest) -> bool:
    """Whether the page says what is wrong, or shows the payload."""
    return bool(app.metric) or "cannot be shown" in texts(app)


def test_the_dashboard_says_a_sentence_of_hostile_files(
    hostile: list[Path], open_page: Open, project: Path
) -> None:
    assert len(hostile) > 500
    open_all(hostile[::80], open_page, project)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_dashboard_says_a_sentence_of_every_hostile_file(
    hostile: list[Path], open_page: Open, project: Path
) -> None:
    open_all(hostile, open_page, project)
