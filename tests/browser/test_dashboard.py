"""What a user does, in a real browser, against the real server and the real extraction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.conftest import CHART, Server, Tab
from tests.factories.payloads import make_payload, write_payload

PAGES = ("", "layers", "outliers", "versions")
PROGRESS = "[data-testid=stProgress]"

Serve = Callable[..., Server]
OpenTab = Callable[..., Tab]


@pytest.fixture
def two_versions(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    for number, version in enumerate(("first", "second")):
        path = project / "outputs" / version / "feature_stats" / "dinov3_feature_stats.pt"
        write_payload(path, make_payload(version=version, layers=6, seed=number, drift=number))
    return project


def _keys(project: Path) -> dict[str, str]:
    from analysis.discovery import discover_payloads

    return {str(ref.version): ref.key for ref in discover_payloads([project])}


def test_an_extraction_from_the_form_to_the_charts(
    project: Path, serve: Serve, open_tab: OpenTab
) -> None:
    server = serve(project)
    tab = open_tab()
    tab.open(server.url)
    assert "There is nothing to show yet" in tab.page.inner_text("[data-testid=stAlert]")
    tab.page.get_by_text("16 of 16 images").wait_for(timeout=30_000)
    tab.page.get_by_role("button", name="Start extraction").click()
    tab.page.wait_for_selector(PROGRESS, timeout=60_000)

    tab.page.reload()  # in the middle of the job
    tab.page.wait_for_selector(PROGRESS, timeout=60_000)
    tab.page.get_by_role("link", name="Layers").click()  # and to another page
    other = open_tab()
    other.open(f"{server.url}/outliers")  # and in front of a second user
    tab.page.wait_for_selector(CHART, timeout=180_000)
    tab.page.wait_for_selector(PROGRESS, state="detached", timeout=30_000)

    assert tab.headings()[0] == "Layers"
    payload = project / "outputs/v1/train_all/feature_stats/dinov3_feature_stats.pt"
    assert payload.exists()
    assert f"version={_keys(project)['v1']}" in tab.page.url
    assert "job=" not in tab.page.url
    assert tab.complaints == []
    assert other.complaints == []


def test_a_cancelled_extraction_leaves_no_payload(
    project: Path, serve: Serve, open_tab: OpenTab
) -> None:
    server = serve(project)
    tab = open_tab()
    tab.open(server.url)
    tab.page.get_by_role("button", name="Start extraction").click()
    tab.page.get_by_role("button", name="Cancel").click(timeout=60_000)
    tab.page.get_by_text("was cancelled; nothing was written").wait_for(timeout=60_000)
    assert not list(project.glob("outputs/**/*.pt"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_drawn_without_complaints(
    two_versions: Path, serve: Serve, open_tab: OpenTab, scheme: str
) -> None:
    server, keys = serve(two_versions), _keys(two_versions)
    for page in PAGES:
        tab = open_tab(scheme)
        tab.open(f"{server.url}/{page}?version={keys['first']}&compare={keys['second']}")
        tab.wait_for_charts()
        assert tab.complaints == []
        assert tab.page.locator("[data-testid=stException]").count() == 0
        background = tab.page.evaluate(
            "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
        )
        assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(14, 17, 23)")


def test_any_address_may_be_the_first_after_a_server_starts(
    two_versions: Path, serve: Serve, open_tab: OpenTab
) -> None:
    tab = open_tab()
    tab.open(f"{serve(two_versions).url}/outliers")
    tab.wait_for_charts()
    assert tab.page.get_by_text("Upload a payload").is_visible()  # the frame is there
    assert tab.page.get_by_role("link", name="Overview").count() == 1
    assert tab.complaints == []


def test_a_link_shows_another_user_the_same_view(
    two_versions: Path, serve: Serve, open_tab: OpenTab
) -> None:
    server = serve(two_versions)
    mine = open_tab()
    mine.open(f"{server.url}/outliers")
    mine.wait_for_charts()
    mine.page.get_by_role("radio", name="global LN").or_(
        mine.page.get_by_role("button", name="global LN")
    ).first.click()
    mine.page.wait_for_url("**representation=global_ln**")
    mine.page.get_by_role("slider").focus()
    mine.page.keyboard.press("ArrowLeft")
    mine.page.wait_for_url("**layer=4**")
    mine.settle()
    assert "Layer 4: global LN, patch tokens" in mine.headings()

    theirs = open_tab()
    theirs.open(mine.page.url)
    theirs.wait_for_charts()
    assert theirs.headings() == mine.headings()
    assert theirs.page.url == mine.page.url


def test_a_figure_can_be_taken_away(
    two_versions: Path, serve: Serve, open_tab: OpenTab, tmp_path: Path
) -> None:
    tab = open_tab()
    tab.open(f"{serve(two_versions).url}/layers")
    tab.wait_for_charts()
    with tab.page.expect_download() as html:
        tab.page.get_by_role("button", name="HTML").click()
    with tab.page.expect_download() as csv:
        tab.page.get_by_role("button", name="CSV").click()
    assert html.value.suggested_filename == "layers.html"
    html.value.save_as(tmp_path / "layers.html")
    exported = open_tab()
    exported.page.goto((tmp_path / "layers.html").as_uri())
    exported.page.wait_for_selector(".main-svg")
    assert exported.complaints == []
    table = csv.value.path().read_text().splitlines()
    assert table[0] == "layer,representation,role,tokens,median,p90,p99,max,mean,version"
    assert len(table) == 1 + 6 * 3 * 2


def test_a_payload_can_be_uploaded(
    two_versions: Path, serve: Serve, open_tab: OpenTab, tmp_path: Path
) -> None:
    upload = tmp_path / "from_elsewhere.pt"
    write_payload(upload, make_payload(version="elsewhere", layers=3))
    tab = open_tab()
    tab.open(f"{serve(two_versions).url}/layers")
    tab.page.get_by_text("Upload a payload").click()
    tab.page.set_input_files("[data-testid=stFileUploaderDropzoneInput]", upload)
    tab.page.locator("input[value='from_elsewhere.pt · uploaded']").wait_for(timeout=30_000)
    tab.wait_for_charts()
    assert tab.complaints == []
