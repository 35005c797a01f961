"""Whatever a page gives away opens elsewhere: each file is read by a program that is not ours."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file

from analysis.payload.reading import open_payload
from analysis.vocabulary import Representation, Statistic, TokenRole
from tests.browser.conftest import Dashboard
from tests.browser.tab import PLOT, Tab
from tests.pages.conftest import payload_path

OpenTab = Callable[..., Tab]

BURST = 4
"""Tables, each as two files: Chromium drops the eleventh file that a page gives within a second."""


@pytest.mark.parametrize(
    ("page", "choices"),
    [
        ("overview", {}),
        ("layers", {}),
        ("layers", {"view": "range"}),
        ("outliers", {}),
        ("channels", {}),
        ("images", {"view": "footprint"}),
        ("versions", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()),
)
def test_tables_and_figures_open(
    dashboard: Dashboard,
    light: Tab,
    open_tab: OpenTab,
    tmp_path: Path,
    page: str,
    choices: dict[str, str],
) -> None:
    shown = dashboard.red if page in ("layers", "images") else dashboard.pair
    light.open("" if page == "overview" else page, **shown, **choices)
    menus = light.menus()
    assert menus
    for number, menu in enumerate(menus):
        if number and number % BURST == 0:
            light.page.reload()
            light.expect_page(page)
        csv, parquet = light.take(menu, "CSV", "Parquet", folder=tmp_path)
        _expect_same_table(pd.read_csv(csv), pd.read_parquet(parquet))
    names = light.page.evaluate(
        "(plot) => document.querySelector(plot)._fullData.map((t) => t.name)", PLOT
    )
    exported = open_tab()
    exported.page.context.set_offline(True)
    (html,) = next(filter(None, (light.take(menu, "HTML", folder=tmp_path) for menu in menus)))
    exported.page.goto(html.as_uri())
    exported.page.wait_for_selector(f"{PLOT} .main-svg")
    assert names == exported.page.evaluate(
        "(plot) => document.querySelector(plot)._fullData.map((t) => t.name)", PLOT
    )
    assert exported.complaints == []


def test_pictures_open(dashboard: Dashboard, dark: Tab, tmp_path: Path) -> None:
    dark.open("layers", **dashboard.pair)
    # upwards: the hint of a button would cover the one above it
    pixels, drawing = dark.take(dark.menus()[0], "PNG", "SVG", folder=tmp_path)
    words = "".join(ElementTree.parse(drawing).getroot().itertext())
    assert "layer (block index)" in words
    picture = Image.open(pixels).convert("RGB")
    assert picture.width == 2400
    assert picture.getpixel((2, 2)) == (14, 17, 23)  # as on the dark page


def test_the_photograph_opens(dashboard: Dashboard, light: Tab, tmp_path: Path) -> None:
    light.open("images", **dashboard.red)
    picture = light.page.locator("[class*='st-key-png-'] button:visible").first
    content = light.download(picture, tmp_path).read_bytes()
    assert Image.open(io.BytesIO(content)).format == "PNG"


def test_the_report_opens_without_a_network(
    dashboard: Dashboard,
    light: Tab,
    open_tab: OpenTab,
    tmp_path: Path,
) -> None:
    light.open("share", **dashboard.pair)
    report = light.download(light.page.get_by_role("button", name="Download the report"), tmp_path)
    offline = open_tab()
    offline.page.context.set_offline(True)
    offline.page.goto(report.as_uri())
    offline.page.wait_for_selector(".main-svg")
    assert offline.page.title() == "Spring · second"
    assert offline.page.inner_text(".note") == "fertilised plots"
    assert offline.complaints == []


def test_the_vector_is_what_the_payload_says(
    dashboard: Dashboard, light: Tab, tmp_path: Path
) -> None:
    light.open("share", **dashboard.pair, role="cls")
    button = light.page.get_by_role("button", name="Download the vector")
    arrays = load_file(light.download(button, tmp_path))
    table = open_payload(payload_path(dashboard.project, "first")).table
    mean = table.get(2, Representation.PRE, TokenRole.CLS, Statistic.MEAN)
    np.testing.assert_array_equal(arrays["layer_2.mean"], mean)
    assert set(np.unique(arrays["layer_2.keep"])) <= {0, 1}


def _expect_same_table(csv: pd.DataFrame, parquet: pd.DataFrame) -> None:
    assert len(csv)
    assert list(csv.columns) == list(parquet.columns)
    for column in csv.select_dtypes("number"):
        np.testing.assert_allclose(
            csv[column], pd.to_numeric(parquet[column]).astype(float), rtol=1e-6
        )
    assert len(csv) == len(parquet)
