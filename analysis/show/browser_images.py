"""Figures as PNG and SVG, and pages as PDF, as a browser on this machine draws them."""

from __future__ import annotations

import base64
import html
import os
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote

import plotly.graph_objects as go

from analysis.errors import InputError
from analysis.language import _
from analysis.show.figures import theme

ImageFormat: TypeAlias = Literal["svg", "png"]

BROWSER_ENV = "BROWSER_PATH"
"""Where the browser is, if not under one of its usual names."""

WIDTH = 1200
"""Pixels of the page; a PNG has twice as many."""
TIMEOUT_S = 60

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = ("--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
_UNTIL_DRAWN = "--virtual-time-budget=30000"
_REPLACE_PAGE = """
Plotly.toImage('{plot_id}', {format: '$format', width: $width, height: $height, scale: 2})
    .then(url => { document.body.textContent = url; })
"""
_one_at_a_time = threading.Lock()
"""A browser takes 300 MB; visitors wait for each other."""


def can_draw_images() -> bool:
    """Return whether figures can be turned into pictures here: with a Chromium or Chrome."""
    return _find_browser() is not None


def figure_to_image(figure: go.Figure, mode: theme.Mode, image_format: ImageFormat) -> bytes:
    """Return the figure as a picture; takes about four seconds, of which most start the browser.

    Raises:
        InputError: If there is no browser, or it draws nothing.
    """
    browser = _require_browser()
    drawn = without_webgl(figure) if image_format == "svg" else figure
    layout: Any = figure.layout
    height = layout.height or 450
    script = (
        _REPLACE_PAGE.replace("$format", image_format)
        .replace("$width", str(WIDTH))
        .replace("$height", str(height))
    )
    page = theme.prepare_export(drawn, mode).to_html(include_plotlyjs=True, post_script=script)
    return _decode(_open(browser, page, "--dump-dom"))


def page_to_pdf(page: str) -> bytes:
    """Return a page of HTML, of the size that its own style says, as PDF.

    Raises:
        InputError: If there is no browser, or it prints nothing.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "page.pdf"
        _open(_require_browser(), page, "--no-pdf-header-footer", f"--print-to-pdf={file}")
        if not file.is_file():
            raise InputError(_("The browser printed nothing. Download the HTML file instead."))
        return file.read_bytes()


def without_webgl(figure: go.Figure) -> go.Figure:
    """Return the figure drawn as SVG: a browser keeps 16 WebGL canvases and blanks the others."""
    content = figure.to_plotly_json()
    traces = [
        {**trace, "type": "scatter"} if trace.get("type") == "scattergl" else trace
        for trace in content["data"]
    ]
    return go.Figure(traces, content["layout"])


def _find_browser() -> str | None:
    return os.environ.get(BROWSER_ENV) or next(filter(None, map(shutil.which, _BROWSERS)), None)


def _require_browser() -> str:
    browser = _find_browser()
    if browser is None:
        raise InputError(
            _("No Chromium found. Install one, or name it in {browser_env}.").format(
                browser_env=BROWSER_ENV
            )
        )
    return browser


def _open(browser: str, page: str, *then: str) -> str:
    """Open a page, let its scripts run, and return what the browser then says of it."""
    # Chromium's sandbox refuses root; the page is our own, and asks nothing of a network
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, _one_at_a_time:
        file = Path(folder) / "figure.html"
        file.write_text(page, encoding="utf-8")
        profile = f"--user-data-dir={folder}/profile"
        try:
            done = subprocess.run(
                [browser, *_FLAGS, *sandbox, profile, _UNTIL_DRAWN, *then, file.as_uri()],
                capture_output=True,
                timeout=TIMEOUT_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise InputError(
                _("{browser} could not draw the figure: {error}").format(
                    browser=browser, error=error
                )
            ) from error
    return done.stdout.decode(errors="replace")


def _decode(shown: str) -> bytes:
    match = re.search(r"<body>data:image/[\w+]+(;base64)?,([^<]*)</body>", shown)
    if match is None:
        raise InputError(_("The browser drew nothing. Download the HTML file instead."))
    if match[1]:
        return base64.b64decode(match[2])
    return unquote(html.unescape(match[2])).encode()
