"""The browser's Back and Forward walk through the views; its tab names the page."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Dashboard
from tests.browser.tab import TIMEOUT, Tab


def test_back_and_forward_walk_through_the_views(dashboard: Dashboard, light: Tab) -> None:
    page = light.page
    light.open("outliers", **dashboard.pair)
    expect(page).to_have_title("Outliers · DINOv3 feature statistics", timeout=TIMEOUT)
    before = page.url
    light.click_and_settle(light.option("CLS"))
    after = page.url
    assert "role=cls" in after
    page.go_back()
    light.settle()
    expect(page).to_have_url(before, timeout=TIMEOUT)
    page.go_forward()
    light.settle()
    expect(page).to_have_url(after, timeout=TIMEOUT)
    expect(page.locator("h1")).to_have_count(1)
