"""Figures and tables as files that are opened elsewhere."""

from __future__ import annotations

import functools
import importlib.util
import io
import os
import re
import shutil
from typing import Literal, TypeAlias

import pandas as pd
import plotly.graph_objects as go

from analysis.figures import theme

ImageFormat: TypeAlias = Literal["svg", "png"]

BROWSER_ENV = "BROWSER_PATH"
"""Where kaleido is told to find the browser that draws for it."""

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def figure_to_html(figure: go.Figure, mode: theme.Mode) -> bytes:
    """Return the interactive figure as one file that needs no network, about 5 MB."""
    return theme.prepare_export(figure, mode).to_html(include_plotlyjs=True).encode()


@functools.cache
def can_draw_images() -> bool:
    """Return whether figures can be turned into pictures here: with kaleido and a browser."""
    return importlib.util.find_spec("kaleido") is not None and _find_browser() is not None


def figure_to_image(figure: go.Figure, mode: theme.Mode, image_format: ImageFormat) -> bytes:
    """Return the figure as a picture, 1200 pixels wide; where `can_draw_images` only."""
    browser = _find_browser()
    if browser is not None:
        os.environ.setdefault(BROWSER_ENV, browser)
    height = figure.layout.height or 450
    exported = theme.prepare_export(figure, mode)
    return exported.to_image(format=image_format, width=1200, height=height, scale=2)


def frame_to_csv(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV, without its index."""
    return frame.to_csv(index=False).encode()


def frame_to_parquet(frame: pd.DataFrame) -> bytes:
    """Return a table as Parquet, without its index; columns of mixed types become text."""
    mixed = [name for name in frame.columns if frame[name].dtype == object]
    buffer = io.BytesIO()
    frame.astype(dict.fromkeys(mixed, "string")).to_parquet(buffer, index=False)
    return buffer.getvalue()


def name_file(name: str) -> str:
    """Return a name that is a safe stem of a file name on every system."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_.")[:80] or "export"


def _find_browser() -> str | None:
    return os.environ.get(BROWSER_ENV) or next(filter(None, map(shutil.which, _BROWSERS)), None)
