"""A visitor with a browser: what reaches it, and how long until there is something to see."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, CDPSession, Page, WebSocket, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
READY = "[data-testid=stApp][data-test-script-state=notRunning]"
CHART = "[data-testid=stPlotlyChart] .main-svg"
DRAWN = """() => [...document.querySelectorAll("[class*='st-key-figure-']")].every((figure) => {
    const drawing = figure.querySelector(".main-svg");
    return drawing && getComputedStyle(drawing).visibility === "visible";
})"""
"""Whether every figure is to be seen; Streamlit draws each unseen first, to find its width."""
TIMEOUT = 120_000
"""Milliseconds."""


@dataclass
class Tab:
    """One tab with a cold cache of its own, counting what the server sends it."""

    page: Page
    received: int = 0
    _metrics: CDPSession | None = None

    def open(self, url: str) -> None:
        """Go to an address and wait for the first chart."""
        self.page.goto(url)
        self.page.wait_for_selector(CHART, timeout=TIMEOUT)

    def settle(self) -> None:
        """Wait until the script has ended."""
        self.page.wait_for_selector(READY, timeout=TIMEOUT)

    def go(self, title: str) -> float:
        """Click a page in the navigation; return seconds until its script has ended."""
        start = time.perf_counter()
        self.page.get_by_role("link", name=title, exact=True).click()
        # some titles name what they show: "Overview: second"
        name = re.compile(rf"^{title}(:|$)")
        heading = self.page.get_by_role("heading", name=name, level=1)
        heading.wait_for(timeout=TIMEOUT)
        self.settle()
        return time.perf_counter() - start

    def switch(self, title: str) -> tuple[float, float]:
        """Click a page in the navigation and wait until all of it is drawn.

        Returns:
            Seconds, and for how many of them the page's own thread was busy.
        """
        start, busy = time.perf_counter(), self._busy_seconds()
        self.go(title)
        self.page.wait_for_function(DRAWN, timeout=TIMEOUT)
        return time.perf_counter() - start, self._busy_seconds() - busy

    def _busy_seconds(self) -> float:
        """Return for how long the page's main thread has worked since it was opened."""
        if self._metrics is None:
            self._metrics = self.page.context.new_cdp_session(self.page)
            self._metrics.send("Performance.enable")
        found = self._metrics.send("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in found if metric["name"] == "TaskDuration")


@contextmanager
def launch() -> Iterator[Browser]:
    """Start a headless Chromium."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def open_tab(browser: Browser) -> Iterator[Tab]:
    """Open a tab as a new visitor."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    tab = Tab(context.new_page())

    def count(payload: str | bytes) -> None:
        tab.received += len(payload)

    def listen(websocket: WebSocket) -> None:
        websocket.on("framereceived", count)

    tab.page.on("websocket", listen)
    yield tab
    context.close()
