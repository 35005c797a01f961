"""A click on a point of the comparison leads to its channel: only a browser can click."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from analysis.discovery import discover_payloads
from tests.browser.conftest import READY, Server, Tab
from tests.factories.grouped_payloads import make_grouped_pair
from tests.factories.payloads import write_payload
from tests.pages.conftest import payload_path

POINT = """(selector) => {
    const plot = document.querySelector(selector);
    const trace = plot._fullData.find((one) => (one.name || '').startsWith('beyond'));
    const box = plot.getBoundingClientRect();
    const {xaxis, yaxis} = plot._fullLayout;
    return [box.left + xaxis._offset + xaxis.d2p(trace.x[0]),
            box.top + yaxis._offset + yaxis.d2p(trace.y[0])];
}"""


def test_a_click_on_a_channel_leads_to_its_page(
    tmp_path: Path, serve: Callable[..., Server], open_tab: Callable[..., Tab]
) -> None:
    project = tmp_path / "project"
    for name, payload in zip(("first", "second"), make_grouped_pair(), strict=True):
        write_payload(payload_path(project, name), payload)
    keys = [ref.key for ref in discover_payloads([project])]
    tab = open_tab()
    tab.open(f"{serve(project).url}/versions?version={keys[0]}&compare={keys[1]}")
    tab.wait_for_charts()
    plot = ".st-key-figure-channel-effects .js-plotly-plot"
    tab.page.wait_for_selector(f"{plot} .main-svg", timeout=90_000)
    tab.page.locator(plot).scroll_into_view_if_needed()
    tab.page.wait_for_selector(READY)
    tab.page.wait_for_timeout(1000)  # scrolling has no event to wait for
    x, y = tab.page.evaluate(POINT, plot)
    tab.page.mouse.move(x - 2, y)
    tab.page.mouse.move(x, y)
    tab.page.mouse.click(x, y)
    tab.page.wait_for_url("**/channels?**channel=5**", timeout=60_000)
    tab.settle()
    assert "Channels" in tab.headings()
    assert tab.complaints == []
