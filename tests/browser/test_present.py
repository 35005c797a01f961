"""Before an audience: views are saved, named and stepped through, with keys and with buttons."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Dashboard
from tests.browser.tab import TIMEOUT, Tab


def test_an_audience_is_led_through_saved_views(
    dashboard: Dashboard, light: Tab, dark: Tab
) -> None:
    page = light.page
    light.open("layers", **dashboard.pair)
    page.get_by_text("Saved views").first.click()
    page.get_by_label("Name", exact=True).fill("How it grows")
    save = page.get_by_role("button", name="Save this view")
    save.focus()  # the hint below the field goes, and the button moves up
    light.click_and_settle(save)
    light.go("outliers")
    light.click_and_settle(light.option("CLS"))
    light.click_and_settle(page.get_by_role("button", name="Save this view"))
    expect(page.get_by_text("2. Outliers, CLS")).to_be_visible()

    light.click_and_settle(page.locator(".st-key-present button:visible"))
    expect(page.get_by_test_id("stSidebar")).not_to_be_in_viewport(timeout=TIMEOUT)
    _expect_step(light, "outliers", "2 of 2: Outliers, CLS")
    page.keyboard.press("PageUp")  # at once, where the button left the focus
    _expect_step(light, "layers", "1 of 2: How it grows")
    assert "role=cls" not in page.url
    page.keyboard.press("PageDown")
    _expect_step(light, "outliers", "2 of 2: Outliers, CLS")
    assert "role=cls" in page.url

    dark.page.goto(page.url)  # the link holds them all
    _expect_step(dark, "outliers", "2 of 2: Outliers, CLS")
    expect(_button(dark.page, "Next")).to_be_disabled()
    _button(dark.page, "Back").click()
    _expect_step(dark, "layers", "1 of 2: How it grows")
    _button(dark.page, "Next").click()
    _expect_step(dark, "outliers", "2 of 2: Outliers, CLS")
    dark.click_and_settle(_button(dark.page, "End"))
    expect(dark.page.get_by_test_id("stSidebar")).to_be_in_viewport(timeout=TIMEOUT)
    expect(_button(dark.page, "Next")).to_have_count(0)


def test_a_talk_walks_from_home_to_single_images(dashboard: Dashboard, light: Tab) -> None:
    page, walk = light.page, ("home", "versions", "layers", "images")
    light.open("", **dashboard.pair)  # leads to Overview
    light.go("home")
    page.get_by_text("Saved views").first.click()
    for place, name in enumerate(walk):
        if place:
            light.go(name)
        light.click_and_settle(page.get_by_role("button", name="Save this view"))
    light.click_and_settle(page.locator(".st-key-present button:visible"))
    for place in range(len(walk) - 1, 0, -1):
        page.keyboard.press("PageUp")
        expect(page.locator(".st-key-steps")).to_contain_text(f"{place} of", timeout=TIMEOUT)
    for place, name in enumerate(walk[:-1], 1):
        _expect_step(light, "" if name == "home" else name, f"{place} of {len(walk)}")
        page.keyboard.press("PageDown")
    expect(page).to_have_url(re.compile("/images[?]"), timeout=TIMEOUT)
    expect(page.locator(".st-key-steps")).to_contain_text(f"{len(walk)} of", timeout=TIMEOUT)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Images", timeout=TIMEOUT)


def _button(page: Page, name: str) -> Locator:
    return page.locator(".st-key-steps").get_by_role("button", name=name)


def _expect_step(tab: Tab, page: str, words: str) -> None:
    expect(tab.page).to_have_url(re.compile(f"/{page}[?]"), timeout=TIMEOUT)
    expect(tab.page.locator(".st-key-steps")).to_contain_text(words, timeout=TIMEOUT)
    figure = tab.page.locator(".st-key-presented .js-plotly-plot")
    expect(figure).to_be_visible(timeout=TIMEOUT)
    tab.settle()
    box, window = figure.bounding_box(), tab.page.viewport_size
    assert box is not None
    assert window is not None
    assert box["width"] > 0.9 * window["width"]
    assert 0.5 * window["height"] < box["y"] + box["height"] < window["height"]
    expect(tab.page.get_by_role("heading", level=1)).to_have_count(0)  # nothing else is there
