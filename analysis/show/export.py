"""Figures and tables as files that are opened elsewhere."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from PIL import Image
from safetensors.numpy import save

from analysis.payload.table import StatsTable
from analysis.read.normalization import build_normalization
from analysis.read.scores import Score
from analysis.show.figures import theme
from analysis.show.view import View
from analysis.vocabulary import Representation, TokenRole

HEADLINE = 36
"""Pixels for the first line of an exported figure."""


def figure_to_html(figure: go.Figure, mode: theme.Mode) -> bytes:
    """Return the interactive figure as one file that needs no network, about 5 MB."""
    return theme.prepare_export(figure, mode).to_html(include_plotlyjs=True).encode()


def with_headline(view: View) -> go.Figure:
    """Return a copy of the figure whose first line says what it shows, and of which versions.

    Raises:
        ValueError: If the view has no figure.
    """
    if view.figure is None:
        raise ValueError(f"{view.name} has no figure")
    figure = go.Figure(view.figure)
    layout: Any = figure.layout
    text = theme.escape(view.headline)
    title = {"text": text, "x": 0, "xanchor": "left", "xref": "paper", "y": 1, "yanchor": "top"}
    height = (layout.height or view.height) + HEADLINE
    return figure.update_layout(
        title={**title, "yref": "container", "pad": {"t": 10}, "font": {"size": 15}},
        margin={"t": (layout.margin.t or 40) + HEADLINE},
        height=height,
        legend={"y": 1 - HEADLINE / height},
    )


def pixels_to_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture ``[H, W, 3]`` as a file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def frame_to_csv(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV, without its index.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    texts = [name for name in frame.columns if not is_numeric_dtype(frame[name].dtype)]
    shown = frame.assign(**{name: frame[name].map(_disarm) for name in texts})
    return shown.rename(columns=_disarm).to_csv(index=False).encode(errors="replace")


def _disarm(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value  # a number written as text


def frame_to_parquet(frame: pd.DataFrame) -> bytes:
    """Return a table as Parquet, without its index; columns of mixed types become text."""
    mixed = [name for name in frame.columns if frame[name].dtype == object]
    buffer = io.BytesIO()
    frame.astype(dict.fromkeys(mixed, "string")).to_parquet(buffer, index=False)
    return buffer.getvalue()


def name_file(name: str) -> str:
    """Return a name that is a safe stem of a file name on every system."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_.")[:80] or "export"


def export_normalization(
    table: StatsTable,
    representation: Representation,
    role: TokenRole,
    score: Score = Score.MAX_ABS,
    threshold: float | None = None,
) -> bytes:
    """Return the safetensors file; the arguments are those of `build_normalization`."""
    layer = int(table.layers[-1])
    about = {
        "representation": representation.value,
        "role": role.value,
        "score": score.value,
        "threshold": "default" if threshold is None else f"{threshold:g}",
        "images": table.num_images,
        "tokens": table.count(layer, role),
        "backbone": table.backbone.get("backbone_name"),
        "version": table.config.get("version"),
        "weights_sha256": table.run.get("weights_sha256"),
        "adapter_sha256": table.run.get("adapter_sha256"),
    }
    return save(
        build_normalization(table, representation, role, score, threshold),
        metadata={key: str(value) for key, value in about.items() if value is not None},
    )
