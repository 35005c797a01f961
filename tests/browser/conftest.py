"""The real server in a project dir of its own, and a real Chromium in front of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.factories.projects import make_project

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page, Request

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
READY = "[data-testid=stApp][data-test-script-state=notRunning]"
CHART = "[data-testid=stPlotlyChart] .main-svg"


@dataclass
class Server:
    """One running dashboard."""

    url: str
    project: Path
    process: subprocess.Popen[bytes]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in str(item.path):
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine"))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start dashboards; they and all they started end with the test."""
    servers: list[Server] = []

    def serve(project: Path, **environment: str) -> Server:
        (project / ".streamlit").mkdir(exist_ok=True)
        shutil.copy(ROOT / ".streamlit" / "config.toml", project / ".streamlit")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py")]
        options = [f"--server.port={port}", "--server.headless=true", "--server.address=127.0.0.1"]
        process = subprocess.Popen(
            [*command, *options],
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=(tmp_path / "server.log").open("wb"),
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "DASHBOARD_CACHE": str(tmp_path / "cache"),
                "DASHBOARD_QUEUE": str(tmp_path / "queue"),
                "OMP_NUM_THREADS": "1",
                **environment,
            },
        )
        server = Server(f"http://127.0.0.1:{port}", project, process)
        servers.append(server)
        _wait_until_healthy(server, tmp_path / "server.log")
        return server

    yield serve
    for server in servers:
        server.process.terminate()
        server.process.wait(timeout=20)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project", images=16, size=(160, 96))


def _wait_until_healthy(server: Server, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=2) as answer:
                if answer.read() == b"ok":
                    return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")


@dataclass
class Tab:
    """One browser tab, and what went wrong in it."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.settle()

    def settle(self) -> None:
        """Wait until the page has been drawn."""
        self.page.wait_for_selector("[data-testid=stHeading]", timeout=90_000)
        self.page.wait_for_selector(READY, timeout=90_000)

    def wait_for_charts(self) -> None:
        self.page.wait_for_selector(CHART, timeout=90_000)
        self.settle()

    def headings(self) -> list[str]:
        return [
            text.strip() for text in self.page.locator("[data-testid=stHeading]").all_inner_texts()
        ]


@pytest.fixture
def open_tab() -> Iterator[Callable[..., Tab]]:
    """Open tabs of a headless Chromium, each as a user of its own."""
    sync_api = pytest.importorskip("playwright.sync_api")
    assert CHROMIUM is not None
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)

        def open_tab(scheme: str = "light", width: int = 1440) -> Tab:
            context = browser.new_context(
                color_scheme=scheme,
                viewport={"width": width, "height": 1000},
                accept_downloads=True,
            )
            tab = Tab(context.new_page())
            tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
            tab.page.on("console", lambda message: _note(tab, message))
            tab.page.on("requestfailed", lambda request: _note_request(tab, request))
            return tab

        yield open_tab
        browser.close()


def _note(tab: Tab, message: ConsoleMessage) -> None:
    # Below a page's path Streamlit looks for its own server in two places, the first in vain.
    looks_for_server = "/_stcore/" in str(message.location)
    if message.type == "error" and not looks_for_server:
        tab.complaints.append(f"{message.text} {message.location}")


def _note_request(tab: Tab, request: Request) -> None:
    if "127.0.0.1" not in request.url:
        tab.complaints.append(f"asked another machine for {request.url}")
