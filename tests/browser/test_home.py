"""The first screen: a map and a table of all versions, and the ways from there to one of them."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Dashboard
from tests.browser.tab import TIMEOUT, Tab


def open_home(dashboard: Dashboard, tab: Tab) -> None:
    """Open the address without a page, as on the first day."""
    tab.page.goto(f"{dashboard.url}/")
    tab.expect_page("home")


def test_a_cell_of_the_map_leads_to_that_layer_of_the_comparison(
    dashboard: Dashboard, light: Tab
) -> None:
    open_home(dashboard, light)
    layer = light.click_point("version map")  # of the one row
    light.expect_page("versions")
    expect(light.page.locator("h1")).to_contain_text("second against Spring")
    assert f"layer={layer}" in light.page.url
    assert dashboard.keys["second"] in light.page.url


def test_a_ticked_row_stays_in_the_link_and_leads_to_its_overview(
    dashboard: Dashboard, dark: Tab
) -> None:
    open_home(dashboard, dark)
    dark.tick_row("versions", 0)
    button = dark.page.locator(".st-key-open-version button")
    expect(button).to_be_visible(timeout=TIMEOUT)
    dark.settle()
    assert "rows=" in dark.page.url
    dark.page.reload()
    dark.expect_page("home")
    expect(button).to_be_visible(timeout=TIMEOUT)
    button.click()
    dark.expect_page("overview")
