"""Every page, drawn in both themes; every choice of one user, shown to another by the link."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Dashboard
from tests.browser.tab import PLOT, TIMEOUT, Tab
from tests.pages.conftest import PAGES

BACKGROUND = {"light": "rgb(255, 255, 255)", "dark": "rgb(14, 17, 23)"}
WITHOUT_FIGURES = ("images", "targets", "similarity", "share", "runs", "interventions")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_drawn(
    dashboard: Dashboard, request: pytest.FixtureRequest, scheme: str
) -> None:
    tab: Tab = request.getfixturevalue(scheme)
    tab.open("", **dashboard.pair)
    for page in PAGES:
        tab.go(page)
        assert tab.page.locator("[data-testid=stException]").count() == 0
        assert bool(tab.view()["plots"]) == (page not in WITHOUT_FIGURES), page
        app = tab.page.locator("[data-testid=stApp]")
        expect(app).to_have_css("background-color", BACKGROUND[scheme])
        assert tab.complaints == [], page


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1440, 900)])
def test_the_first_figure_of_a_page_is_whole_on_the_first_screen(
    dashboard: Dashboard, light: Tab, width: int, height: int
) -> None:
    before = light.page.viewport_size
    assert before is not None
    light.page.set_viewport_size({"width": width, "height": height})
    ends: dict[str, float] = {}
    for name in ("home", "overview", "layers", "outliers", "channels", "versions"):
        light.open("" if name == "home" else name, **dashboard.pair)  # Home's own leads to Overview
        light.go(name)
        box = light.page.locator(PLOT).first.bounding_box()
        assert box is not None, name
        ends[name] = box["y"] + box["height"]
    light.page.set_viewport_size(before)
    assert {name: end for name, end in ends.items() if end > height} == {}


def test_names_of_picked_versions_are_whole(dashboard: Dashboard, light: Tab) -> None:
    light.open("layers", **dashboard.pair)
    names = light.page.locator("[data-testid=stSidebar] [data-tag] > span:visible").all()
    assert names
    for name in names:
        whole, shown = name.evaluate("it => [it.scrollWidth, it.clientWidth]")
        assert whole <= shown


@pytest.mark.parametrize(
    ("page", "label"),
    [
        pytest.param("layers", "Min and max", id="layers"),
        pytest.param("outliers", "global LN", id="outliers"),
        pytest.param("channels", "CLS", id="channels"),
        pytest.param("images", "Over the data set", id="images"),
        pytest.param("share", "per-layer LN", id="share"),
    ],
)
def test_a_link_shows_what_was_chosen(
    dashboard: Dashboard, light: Tab, dark: Tab, page: str, label: str
) -> None:
    light.open(page, **dashboard.red)
    before = light.view()
    light.click_and_settle(light.option(label))
    dark.page.goto(light.page.url)
    dark.expect_page(page)
    dark.expect_view(light.view())
    assert light.view() != before
    assert dark.page.url == light.page.url


def test_a_link_shows_the_layer_of_a_comparison(
    dashboard: Dashboard, light: Tab, dark: Tab
) -> None:
    light.open("versions", **dashboard.pair)
    light.click_and_settle(light.option("global LN"))
    light.page.get_by_role("slider").first.focus()
    light.page.keyboard.press("ArrowLeft")
    expect(light.page).to_have_url(re.compile(r"layer=1\b"), timeout=TIMEOUT)
    light.settle()
    dark.page.goto(light.page.url)
    dark.expect_page("versions")
    dark.expect_view(light.view())


def test_a_choice_is_carried_from_page_to_page(dashboard: Dashboard, light: Tab) -> None:
    light.open("outliers", **dashboard.red, layer="3", role="cls", representation="global_ln")
    for page in ("channels", "images", "share", "outliers"):
        light.go(page)
        if page != "share":
            assert light.view()["sliders"][0] == "3", page
        assert "CLS" in light.view()["chosen"], page
        for choice in ("layer=3", "role=cls", "representation=global_ln"):
            assert choice in light.page.url, page
