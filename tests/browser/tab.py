"""What a user does in a browser tab; what is waited for is a condition, never a time."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page, Request

TIMEOUT = 90_000
"""Milliseconds, on a machine that does other things too."""

PLOT = ".js-plotly-plot"
_DRAWN = """() => {
    const size = document.querySelectorAll("[data-testid=stMain] *").length;
    const isDrawn = document.querySelector("[data-test-script-state=notRunning]")
        && !document.querySelector("[data-testid=stSkeleton], [data-testid=stAppSkeleton]")
        && [...document.querySelectorAll("[data-testid=stPlotlyChart]")].every(
            (chart) => chart.querySelector(".js-plotly-plot .main-svg"));
    window.framesAlike = isDrawn && window.sizeBefore === size ? window.framesAlike + 1 : 0;
    window.sizeBefore = size;
    return window.framesAlike >= 10;
}"""
"""Whether the script has ended, every figure is there, and nothing is added for ten frames: React
shows what has arrived when it finds the time."""

_POINT = """([selector, name]) => {
    const plot = document.querySelector(selector);
    const box = plot.getBoundingClientRect();
    const points = plot._fullData.filter((one) => one.customdata && one.visible === true)
        .flatMap((trace) => {
            const [x, y] = [trace.xaxis ?? "x", trace.yaxis ?? "y"].map(
                (axis) => plot._fullLayout[axis[0] + "axis" + axis.slice(1)]);
            return Array.from(trace.x, (_, i) => ({
                named: (trace.name ?? "").startsWith(name), channel: trace.customdata[i][0],
                x: box.left + x._offset + x.d2p(trace.x[i]),
                y: box.top + y._offset + y.d2p(trace.y[i])}));
        }).filter((point) => Number.isFinite(point.x + point.y));
    const room = (one) => Math.min(
        ...points.map((p) => p === one ? Infinity : Math.hypot(p.x - one.x, p.y - one.y)));
    return points.filter((one) => one.named).map((one) => ({...one, room: room(one)}))
        .reduce((best, one) => one.room > best.room ? one : best);
}"""
"""Where the loneliest mark that can be clicked stands, and its channel."""

_STILL = """(selector) => {
    const {top} = document.querySelector(selector).getBoundingClientRect();
    const before = window.topBefore;
    window.topBefore = top;
    return top === before;
}"""
"""Whether an element stands where it stood one frame earlier."""

_VIEW = """() => {
    const all = (selector) => [...document.querySelectorAll("[data-testid=stMain] " + selector)];
    const texts = (selector) => all(selector).map((element) => element.innerText);
    const sum = (values) => Array.from(values ?? [], Number).filter(Number.isFinite)
        .reduce((a, b) => a + b, 0).toPrecision(6);
    return JSON.stringify({
        headings: texts("[data-testid=stHeading]"),
        chosen: [...texts("[aria-checked=true]"), ...texts("[aria-pressed=true]")],
        sliders: all("input[type=range]").map((slider) => slider.getAttribute("aria-valuetext")),
        typed: all("input:not([type=range])").map((element) => element.value),
        metrics: texts("[data-testid=stMetricValue]"),
        plots: all(".js-plotly-plot").map(
            (plot) => plot._fullData.map((trace) => [trace.name, sum(trace.x), sum(trace.y)])),
    });
}"""
"""What a page shows, without its colours."""


@dataclass
class Tab:
    """One browser tab, and what went wrong in it."""

    page: Page
    url: str = ""
    """Of the dashboard."""
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen for complaints."""
        self.page.set_default_timeout(TIMEOUT)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._note)
        self.page.on("requestfailed", self._note_request)

    def open(self, page: str, **query: str) -> None:
        """Open a page of the dashboard by its address, and wait until it has been drawn."""
        self.page.goto(f"{self.url}/{page}?{urlencode(query)}")
        self.expect_page(page or "overview")

    def go(self, page: str) -> None:
        """Click a page in the navigation, and wait until it has been drawn."""
        self.page.get_by_role("link", name=page.capitalize(), exact=True).click()
        self.expect_page(page)

    def expect_page(self, page: str) -> None:
        """Wait until a page has been drawn, figures included."""
        title = self.page.get_by_role(
            "heading", level=1, name=re.compile(f"^{page.capitalize()}\\b")
        )
        expect(title).to_be_visible(timeout=TIMEOUT)
        self.settle()

    def settle(self) -> None:
        """Wait until the script has ended and every figure is drawn."""
        self.page.evaluate("window.framesAlike = 0")
        self.page.wait_for_function(_DRAWN)

    def click_and_settle(self, target: Locator) -> None:
        """Click what changes the address, and wait for the page that it leads to."""
        before = self.page.url
        target.click()
        expect(self.page).not_to_have_url(before, timeout=TIMEOUT)
        self.settle()

    def option(self, label: str) -> Locator:
        """Return a button of a row of choices."""
        radio = self.page.get_by_role("radio", name=label, exact=True)
        return radio.or_(self.page.get_by_role("button", name=label, exact=True)).first

    def click_point(self, figure: str, trace: str = "") -> int:
        """Click the loneliest mark of a figure that knows its channel; return that channel.

        Args:
            figure: Its name.
            trace: How the name of the marks begins.
        """
        plot = f".st-key-{_as_class(f'figure {figure}')} {PLOT}"
        self.page.wait_for_selector(f"{plot} .main-svg")
        self.page.locator(plot).scroll_into_view_if_needed()
        self.page.wait_for_function(_STILL, arg=plot)
        point = self.page.evaluate(_POINT, [plot, trace])
        x, y, channel = point["x"], point["y"], point["channel"]
        self.page.mouse.move(x - 3, y - 3)
        self.page.mouse.move(x, y)
        # plotly selects what it points at
        self.page.wait_for_selector(f"{plot} .hoverlayer .hovertext", state="attached")
        self.page.mouse.click(x, y)
        return int(channel)

    def tick_row(self, table: str, row: int) -> None:
        """Tick a row of a table, which is drawn on a canvas."""
        frame = self.page.locator(f"[class*='st-key-{_as_class(table)}']").first
        frame.scroll_into_view_if_needed()
        frame.click(position={"x": 17, "y": 35 * (row + 1) + 17})

    def view(self) -> dict[str, Any]:
        """Return what the page shows, apart from its colours."""
        return json.loads(self.page.evaluate(_VIEW))

    def expect_view(self, view: Mapping[str, Any]) -> None:
        """Wait until the page shows what another showed."""
        from playwright.sync_api import TimeoutError

        same = f"(wanted) => ({_VIEW})() === wanted"
        wanted = json.dumps(view, ensure_ascii=False, separators=(",", ":"))
        try:
            self.page.wait_for_function(same, arg=wanted, timeout=20_000)
        except TimeoutError:
            assert self.view() == view

    def download(self, button: Locator, folder: Path) -> Path:
        """Press a button that gives a file away; return the file."""
        with self.page.expect_download(timeout=TIMEOUT) as download:
            button.click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path

    def menus(self) -> list[Locator]:
        """Return the menus of files, one for each figure or table."""
        return self.page.locator("[class*='st-key-files-'] button:visible").all()

    def take(self, menu: Locator, *kinds: str, folder: Path) -> list[Path]:
        """Open a menu, take the files of some kinds that it offers, and close it."""
        menu.click()
        offered = self.page.get_by_test_id("stPopoverBody")
        expect(offered).to_be_visible()
        expect(offered.get_by_role("button").first).to_be_visible()  # drawn once it is open
        self.settle()
        buttons = [offered.get_by_role("button", name=kind, exact=True) for kind in kinds]
        files = [self.download(button, folder) for button in buttons if button.count()]
        self.page.keyboard.press("Escape")
        expect(offered).to_be_hidden()
        return files

    def _note(self, message: ConsoleMessage) -> None:
        # Below a page's path Streamlit looks for its own server in two places, the first in vain.
        looks_for_server = "/_stcore/" in str(message.location)
        if message.type == "error" and not looks_for_server:
            self.complaints.append(f"{message.text} {message.location}")

    def _note_request(self, request: Request) -> None:
        if "127.0.0.1" not in request.url:
            self.complaints.append(f"asked another machine for {request.url}")


def _as_class(key: str) -> str:
    """Return a widget's key as Streamlit writes it into the page."""
    return re.sub(r"[^a-zA-Z0-9_-]", "-", key)
