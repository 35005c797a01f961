"""The whole app as its users reach it: `app.py`, then a page, over a folder of payloads."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from tests import ROOT

PAGES = (
    "home",
    "overview",
    "layers",
    "outliers",
    "channels",
    "images",
    "interventions",
    "targets",
    "similarity",
    "versions",
    "share",
    "runs",
)

Open = Callable[..., AppTest]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty project dir that the app is opened in."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DASHBOARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DASHBOARD_QUEUE", str(tmp_path / "queue"))
    _declare_pages_before(monkeypatch)
    st.cache_data.clear()
    st.cache_resource.clear()
    return folder


@pytest.fixture
def open_page(project: Path) -> Open:
    """Open a page of the app in a new session, as from a link."""

    def open_page(page: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        return (app if page == "home" else app.switch_page(f"pages/{page}.py")).run()

    return open_page


def _declare_pages_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behave as a server on which some session has run app.py before.

    Each run of AppTest is else the very first of a server, in which a page runs bare and starts
    over (see `shell.open_page`): a click would be lost on the way.
    """
    initialise = PagesManager.__init__

    def initialise_later(self: PagesManager, *args: Any, **kwargs: Any) -> None:
        PagesManager.uses_pages_directory = False
        initialise(self, *args, **kwargs)

    monkeypatch.setattr(PagesManager, "__init__", initialise_later)


def payload_path(project: Path, version: str) -> Path:
    """Return where the payload of a version stands."""
    return project / "outputs" / version / "feature_stats" / "dinov3_feature_stats.pt"


def figures(app: AppTest) -> list[dict[str, Any]]:
    """Return the plotly figures on the page, as JSON."""
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def decode(values: Any) -> np.ndarray:
    """Return the numbers of a trace, which plotly sends in base64."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return np.asarray(values)


def texts(app: AppTest) -> str:
    """Return all sentences on the page."""
    elements = [*app.error, *app.warning, *app.info, *app.success, *app.caption, *app.markdown]
    return "\n".join(str(element.value) for element in elements)


def headings(app: AppTest) -> list[str]:
    """Return the headings below the title as people read them, without the versions beside."""
    return [str(h.value).split(" :gray[")[0].replace("\\", "") for h in app.header]


def version_shown(app: AppTest) -> str:
    """Return the version in the title of Overview."""
    return str(app.title[0].value).removeprefix("Overview: ").replace("\\", "")
