"""Figures and tables as files that are opened elsewhere."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

from analysis.show.figures import theme


def figure_to_html(figure: go.Figure, mode: theme.Mode) -> bytes:
    """Return the interactive figure as one file that needs no network, about 5 MB."""
    return theme.prepare_export(figure, mode).to_html(include_plotlyjs=True).encode()


def pixels_to_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture ``[H, W, 3]`` as a file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


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
