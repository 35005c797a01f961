"""An extraction from an empty project dir to its charts, with the real server and the real CLI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from analysis.payload.discovery import discover_payloads
from tests.browser.conftest import run_server
from tests.browser.tab import PLOT, TIMEOUT, Tab
from tests.factories.projects import make_project

OpenTab = Callable[..., Tab]
PROGRESS = "[data-testid=stProgress]"


def test_an_extraction_from_the_form_to_the_charts(tmp_path: Path, open_tab: OpenTab) -> None:
    project = make_project(tmp_path / "project", images=16, size=(160, 96))
    with run_server(project, tmp_path) as url:
        tab, other = open_tab(url), open_tab(url)
        page = tab.page
        tab.open("outliers")  # any address may be the first after a server has started
        expect(page.get_by_role("link", name="Overview")).to_be_visible()
        expect(page.get_by_text("There is nothing to show yet")).to_be_visible()
        expect(page.get_by_text("16 of 16 images")).to_be_visible(timeout=TIMEOUT)
        start = page.get_by_role("button", name="Start extraction")

        start.click()
        page.get_by_role("button", name="Cancel").click(timeout=TIMEOUT)
        cancelled = page.get_by_text("was cancelled; nothing was written")
        expect(cancelled).to_be_visible(timeout=TIMEOUT)
        assert not list(project.glob("outputs/**/*.pt"))
        page.get_by_role("button", name="Dismiss").click()
        expect(cancelled).to_have_count(0, timeout=TIMEOUT)

        tab.settle()  # a click on a form that is drawn anew meanwhile would be lost
        if not start.is_visible():
            page.get_by_text("New extraction").click()
            tab.settle()
        start.click()
        page.wait_for_selector(PROGRESS)
        page.reload()  # in the middle of the job
        page.wait_for_selector(PROGRESS)
        tab.go("layers")  # and to another page
        other.open("channels")  # and in front of a second user
        page.wait_for_selector(f"{PLOT} .main-svg", timeout=2 * TIMEOUT)
        page.wait_for_selector(PROGRESS, state="detached")
        tab.expect_page("layers")
        (payload,) = discover_payloads([project])
        assert payload.version == "v1"
        assert f"version={payload.key}" in page.url
        assert "job=" not in page.url
        assert tab.complaints == other.complaints == []
