"""The page of interventions: what it asks, what it says while nothing ran, and a real result."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from analysis.jobs.interventions import InterventionRequest, RunState, find_run
from tests.factories.measured_project import make_measured_project
from tests.pages.conftest import Open


@pytest.fixture
def payload(project: Path) -> Path:
    return make_measured_project(project)


def _wait(payload: Path, request: InterventionRequest) -> RunState:
    while True:
        run = find_run(payload, request)
        assert run is not None
        if run.state is not RunState.RUNNING:
            return run.state
        time.sleep(0.05)


def test_a_run_is_started_and_its_result_is_shown(payload: Path, open_page: Open) -> None:
    app = open_page("interventions", top="2", images="2")
    assert not app.exception
    assert not [block for block in app.markdown if "moves" in block.value]
    next(button for button in app.button if button.label == "Run").click().run()
    assert _wait(payload, InterventionRequest(layer=6, top=2, max_images=2)) is RunState.DONE
    app.run()
    sentences = [block.value for block in app.markdown if "random channels move it" in block.value]
    assert len(sentences) == 2
    assert all("from layer 6 on" in sentence for sentence in sentences)
    assert not app.exception


def test_channels_that_are_not_there_are_refused_in_words(payload: Path, open_page: Open) -> None:
    app = open_page("interventions", channels="5,999")
    assert ["whole numbers from 0 to 191" in error.value for error in app.error] == [True]


def test_a_read_only_server_offers_no_run(
    payload: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    app = open_page("interventions")
    assert not [button for button in app.button if button.label == "Run"]
    assert any("Read-only server" in info.value for info in app.info)
