"""The real server and a real Chromium in front of it: one of each for all tests that can share.

Tabs stay open from test to test, since a new one reads the dashboard's code anew, which is most of
the time that opening a page takes. Whatever a test does, nothing may complain in its tab.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analysis.cli.extract import main
from analysis.payload.annotations import OLD_FILE
from analysis.payload.discovery import discover_payloads
from tests import ROOT
from tests.browser.tab import Tab
from tests.factories.grouped_payloads import make_grouped_pair
from tests.factories.payloads import make_payload, write_payload
from tests.factories.red_square import make_red_project
from tests.pages.conftest import payload_path

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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


@dataclass
class Dashboard:
    """A running dashboard over some payloads, by version.

    `red` was measured on photographs that are there; `first` and `second` are of one network on
    the same images, and differ in channel 5 of the last layer; the first is called Spring; `spare`
    is the newest, for the test that deletes it.
    """

    url: str
    project: Path
    keys: dict[str, str]

    @property
    def pair(self) -> dict[str, str]:
        """Return the choices that compare the second version with the first."""
        return {"version": self.keys["first"], "compare": self.keys["second"]}

    @property
    def red(self) -> dict[str, str]:
        """Return the choice of the version with photographs."""
        return {"version": self.keys["red"]}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in str(item.path):
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine"))


@contextmanager
def run_server(project: Path, folder: Path) -> Iterator[str]:
    """Start a dashboard in a project dir; it and all it started end with the context."""
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
        stdout=(folder / "server.log").open("wb"),
        stderr=subprocess.STDOUT,
        env={
            **os.environ,
            "DASHBOARD_CACHE": str(folder / "cache"),
            "DASHBOARD_QUEUE": str(folder / "queue"),
            "OMP_NUM_THREADS": "1",
        },
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_healthy(url, process, folder / "server.log")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                if answer.read() == b"ok":
                    return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="package")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """Serve the payloads."""
    folder = tmp_path_factory.mktemp("browser")
    project = make_red_project(folder / "project")
    config = project / "configs" / "train.yaml"
    config.write_text(config.read_text().replace("version: v1", "version: red"))
    assert main(["--project-dir", str(project), "--quiet", "--num-workers", "0"]) == 0
    for name, payload in zip(("first", "second"), make_grouped_pair(), strict=True):
        write_payload(payload_path(project, name), payload)
    spare = make_payload(version="spare", created="2099-01-01T00:00:00+00:00")
    write_payload(payload_path(project, "spare"), spare)
    note = {"name": "Spring", "note": "fertilised plots"}
    first = payload_path(project, "first").relative_to(project)
    (project / OLD_FILE).write_text(json.dumps({"payloads": {str(first): note}}))
    keys = {str(ref.version): ref.key for ref in discover_payloads([project])}
    assert set(keys) == {"red", "first", "second", "spare"}
    with run_server(project, folder) as url:
        yield Dashboard(url, project, keys)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Run a headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api")
    assert CHROMIUM is not None
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def _tabs(chromium: Browser, dashboard: Dashboard) -> dict[str, Tab]:
    return {scheme: new_tab(chromium, dashboard.url, scheme) for scheme in ("light", "dark")}


def new_tab(chromium: Browser, url: str, scheme: str = "light") -> Tab:
    """Open a tab as a user of its own."""
    context = chromium.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": 1440, "height": 1000},
        accept_downloads=True,
    )
    return Tab(context.new_page(), url)


@pytest.fixture
def light(_tabs: dict[str, Tab]) -> Iterator[Tab]:
    """Return the tab of a user with a light screen."""
    yield from _without_complaints(_tabs["light"])


@pytest.fixture
def dark(_tabs: dict[str, Tab]) -> Iterator[Tab]:
    """Return the tab of another user, with a dark screen."""
    yield from _without_complaints(_tabs["dark"])


@pytest.fixture
def open_tab(chromium: Browser) -> Iterator[Callable[..., Tab]]:
    """Open further tabs, which end with the test."""
    tabs: list[Tab] = []

    def open_tab(url: str = "") -> Tab:
        tabs.append(new_tab(chromium, url))
        return tabs[-1]

    yield open_tab
    for tab in tabs:
        tab.page.context.close()


def _without_complaints(tab: Tab) -> Iterator[Tab]:
    tab.complaints.clear()
    yield tab
    assert tab.complaints == []
