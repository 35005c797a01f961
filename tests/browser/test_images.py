"""From a channel to the photograph behind it, in a real browser, on a network made by hand."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from analysis.cli import main
from tests.browser.conftest import CHART, Server, Tab
from tests.factories.red_square import CHANNEL, GRID, RED_PATCH, make_red_project

PICTURE = "[data-testid=stImage] img"

Serve = Callable[..., Server]
OpenTab = Callable[..., Tab]


def test_the_page_shows_the_red_square_that_the_channel_answers_to(
    tmp_path: Path, serve: Serve, open_tab: OpenTab
) -> None:
    project = make_red_project(tmp_path / "project")
    assert main(["--project-dir", str(project), "--quiet", "--num-workers", "0"]) == 0
    server = serve(project)
    tab = open_tab()
    tab.open(f"{server.url}/images?channel={CHANNEL}")
    tab.page.wait_for_selector(PICTURE)
    assert f"channel {CHANNEL}, patch tokens" in tab.headings()[1]
    pixels = _download(tab, 0)
    assert _outlined(pixels) == RED_PATCH
    _find_outlined(_download(tab, 1))  # the patch enlarged

    tab.page.get_by_text("Over the data set").click()
    tab.wait_for_charts()
    assert _brightest(tab) == RED_PATCH
    tab.page.get_by_text("Sparse high-norm patches", exact=True).wait_for()

    tab.page.get_by_text("Over a picture, through depth").click()
    tab.page.get_by_role("button", name="Compute the maps").click(timeout=30_000)
    tab.page.wait_for_selector(CHART, timeout=120_000)
    tab.settle()
    assert _brightest(tab) == RED_PATCH
    tab.page.locator(".slider-container .slider-label-group").first.wait_for(state="attached")
    tab.page.locator(".updatemenu-button").first.click()  # play
    tab.page.locator("text.slider-label", has_text="layer 3").first.wait_for(timeout=30_000)
    assert _brightest(tab) == RED_PATCH
    assert tab.complaints == []
    assert "view=maps" in tab.page.url
    assert f"channel={CHANNEL}" in tab.page.url


def test_registers_have_pictures_without_a_place(
    tmp_path: Path, serve: Serve, open_tab: OpenTab
) -> None:
    project = make_red_project(tmp_path / "project")
    assert main(["--project-dir", str(project), "--quiet", "--num-workers", "0"]) == 0
    tab = open_tab("dark")
    tab.open(f"{serve(project).url}/images?role=storage_2")
    tab.page.get_by_text("have no place in the picture").wait_for()
    assert f"channel {CHANNEL}, storage 2 tokens" in tab.headings()[1]
    # waits: cards are drawn one after the other
    expect(tab.page.locator("[data-testid=stMetricValue]").first).to_have_text("-500")
    assert tab.complaints == []


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
