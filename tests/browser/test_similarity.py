"""From an image that stands out, or a point of the map, to its photograph and the page Images."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import Dashboard
from tests.browser.tab import TIMEOUT, Tab
from tests.factories.red_square import IMAGES

PICTURE = "[data-testid=stImage] img"


def test_a_point_of_the_map_and_an_odd_image_lead_to_their_photograph(
    dashboard: Dashboard, light: Tab
) -> None:
    light.open("similarity", **dashboard.red, similarity="map")
    expect(light.page.locator(PICTURE)).to_have_count(0)
    image = light.click_point("map of images")
    assert 0 <= image < IMAGES
    expect(light.page.locator(PICTURE)).to_have_count(1, timeout=TIMEOUT)

    light.click_and_settle(light.option("Single images"))
    expect(light.page.locator(PICTURE)).to_have_count(6, timeout=TIMEOUT)
    light.page.locator(".st-key-images-apart-0 button").first.click()
    expect(light.page).to_have_url(re.compile(r"pictures=\d"), timeout=TIMEOUT)
    light.expect_page("images")
    assert "view=maps" in light.page.url
