"""A click on a mark or a row leads to its channel: only a browser can click."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from analysis.payload.reading import open_payload
from analysis.read.outliers import rank_channels
from analysis.vocabulary import Representation, TokenRole
from tests.browser.conftest import Dashboard
from tests.browser.tab import TIMEOUT, Tab
from tests.pages.conftest import payload_path


@pytest.mark.parametrize(
    ("page", "choices", "figure"),
    [
        pytest.param("layers", {"view": "shared_norm"}, "standing before and after", id="layers"),
        pytest.param("outliers", {}, "channels of the layer", id="channels of a layer"),
        pytest.param("outliers", {}, "channels over depth map", id="channels over depth"),
        pytest.param("channels", {"channel": "9"}, "mean and std", id="mean and std"),
        pytest.param("versions", {"drawn": "every"}, "every channel", id="every channel"),
    ],
)
def test_a_mark_leads_to_its_channel(
    dashboard: Dashboard, light: Tab, page: str, choices: dict[str, str], figure: str
) -> None:
    light.open(page, **dashboard.pair, **choices)
    _expect_channel(light, light.click_point(figure))


def test_a_mark_beyond_the_noise_leads_to_its_channel(dashboard: Dashboard, light: Tab) -> None:
    light.open("versions", **dashboard.pair)
    assert light.click_point("channel effects", "beyond") == 5  # the only one that differs
    _expect_channel(light, 5)


@pytest.mark.parametrize(
    ("page", "table"),
    [("outliers", "ranking"), ("channels", "neighbours of")],
)
def test_a_row_leads_to_its_channel(
    dashboard: Dashboard, light: Tab, page: str, table: str
) -> None:
    payload = open_payload(payload_path(dashboard.project, "first")).table
    last = int(payload.layers[-1])
    ranking = rank_channels(payload, last, Representation.PRE, TokenRole.PATCH, k=3)
    first, second, _ = ranking.frame["channel"].tolist()
    light.open(page, **dashboard.pair, channel=str(first))
    light.tick_row(table, 1)
    _expect_channel(light, second)


def _expect_channel(tab: Tab, channel: int) -> None:
    expect(tab.page).to_have_url(
        re.compile(rf"/channels\?(.*&)?channel={channel}(&|$)"), timeout=TIMEOUT
    )
    tab.expect_page("channels")
    heading = tab.page.get_by_role("heading", name=f"Channel {channel} through depth")
    expect(heading).to_be_visible(timeout=TIMEOUT)
