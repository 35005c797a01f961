"""From a channel to the photograph behind it, in a real browser, on a network made by hand."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import Dashboard
from tests.browser.tab import TIMEOUT, Tab
from tests.factories.red_square import CHANNEL, GRID, RED_PATCH

PICTURE = "[data-testid=stImage] img"


def test_the_page_shows_the_red_square_that_the_channel_answers_to(
    dashboard: Dashboard, light: Tab
) -> None:
    light.open("images", **dashboard.red, channel=str(CHANNEL))
    light.page.wait_for_selector(PICTURE)
    assert f"channel {CHANNEL}, patch tokens" in light.view()["headings"][1]
    pixels = _download(light, 0)
    assert _outlined(pixels) == RED_PATCH
    _find_outlined(_download(light, 1))  # the patch enlarged

    light.click_and_settle(light.option("Over the data set"))
    assert _brightest(light) == RED_PATCH
    expect(light.page.get_by_text("Sparse high-norm patches", exact=True)).to_be_visible()

    light.click_and_settle(light.option("Over a picture, through depth"))
    light.page.get_by_role("button", name="Compute the maps").click()
    slider = light.page.locator(".slider-container .slider-label-group").first
    expect(slider).to_be_attached(timeout=2 * TIMEOUT)
    light.settle()
    assert _brightest(light) == RED_PATCH
    light.page.locator(".updatemenu-button").first.click()  # play
    label = light.page.locator("text.slider-label", has_text="layer 3").first
    expect(label).to_be_attached(timeout=TIMEOUT)
    assert _brightest(light) == RED_PATCH
    assert "view=maps" in light.page.url
    assert f"channel={CHANNEL}" in light.page.url


def test_registers_have_pictures_without_a_place(dashboard: Dashboard, dark: Tab) -> None:
    dark.open("images", **dashboard.red, role="storage_2")
    expect(dark.page.get_by_text("have no place in the picture")).to_be_visible(timeout=TIMEOUT)
    assert f"channel {CHANNEL}, register 2 tokens" in dark.view()["headings"][1]
    expect(dark.page.locator("[data-testid=stMetricValue]").first).to_have_text("-500")


def _download(tab: Tab, number: int) -> np.ndarray:
    """Return the pixels of a picture on the page, as the browser got them."""
    source = tab.page.locator(PICTURE).nth(number).get_attribute("src")
    assert source is not None
    url = tab.page.evaluate("source => new URL(source, document.baseURI).href", source)
    content = tab.page.request.get(url).body()
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def _outlined(pixels: np.ndarray) -> tuple[int, int]:
    """Return row and column of the patch inside the yellow outline; it must be red."""
    row, column = _find_outlined(pixels)
    return row * GRID[0] // pixels.shape[0], column * GRID[1] // pixels.shape[1]


def _find_outlined(pixels: np.ndarray) -> tuple[int, int]:
    """Return the pixel in the middle of the yellow outline; it must be red."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    yellow = (red - blue > 100) & (green - blue > 80)  # the browser got a JPEG
    row, column = np.argwhere(yellow).mean(axis=0).round().astype(int)
    assert pixels[row, column, 0] > 150
    assert pixels[row, column, 1:].max() < 80
    return int(row), int(column)


def _brightest(tab: Tab) -> tuple[int, int]:
    """Return where the map that is drawn now is largest."""
    values = tab.page.evaluate(
        """() => {
            const plot = document.querySelector("[data-testid=stPlotlyChart] .js-plotly-plot");
            return plot._fullData[0].z.map(row => Array.from(row));
        }"""
    )
    row, column = np.unravel_index(np.argmax(values), np.shape(values))
    return int(row), int(column)
