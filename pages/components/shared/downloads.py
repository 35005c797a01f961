"""Figures and tables on the screen, each with buttons to take it away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from analysis.show import browser_images as pictures
from analysis.show import export
from analysis.show.figures import theme
from pages.components.shared import present

HEIGHT = 450
ROW_HEIGHT = 17
ROOM_AROUND = 120
"""Pixels: the legend above the rows and the axis below."""

Table: TypeAlias = pd.DataFrame | Callable[[], pd.DataFrame]
"""A table, or what makes it once somebody wants it: nobody waits for what is not shown."""

_MIME_TYPES = {
    "html": "text/html",
    "svg": "image/svg+xml",
    "png": "image/png",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}


def mode() -> theme.Mode:
    """Return whether the viewer looks at a light or a dark page."""
    return "dark" if st.context.theme.type == "dark" else "light"


def show_figure(
    figure: go.Figure,
    name: str,
    data: Table | None = None,
    *,
    rows: int = 0,
    clickable: bool = False,
) -> int | None:
    """Draw a figure, with buttons to take it (and the numbers behind it) away.

    Args:
        figure: Themed by `analysis.show.figures` for the present mode.
        name: Names the element and the files; unique on the page.
        data: What the figure shows, as a table.
        rows: Labelled rows that must have room below each other.
        clickable: Whether a click on a point means something.

    Returns:
        The first entry of the clicked point's `customdata`, a channel; None without a click.
    """
    shown = mode()  # asked here: a download runs in a thread that knows no viewer
    height = max(HEIGHT, ROOM_AROUND + rows * ROW_HEIGHT)
    figure.layout.height = height
    if present.is_on():
        present.enlarge(figure, height)
    event = st.plotly_chart(
        figure,
        key=f"figure {name}",
        theme=None,
        config={
            "displaylogo": False,
            # the camera in the figure's own bar needs nothing on the server
            "toImageButtonOptions": {"format": "svg", "filename": export.name_file(name)},
        },
        on_select="rerun" if clickable else "ignore",
        selection_mode="points",
    )
    with st.container(horizontal=True, gap="small"):
        _offer(
            "HTML",
            name,
            lambda: export.figure_to_html(figure, shown),
            help="The interactive figure as one file that opens without a network.",
        )
        if pictures.can_draw_images():
            _offer("SVG", name, lambda: pictures.figure_to_image(figure, shown, "svg"))
            _offer("PNG", name, lambda: pictures.figure_to_image(figure, shown, "png"))
        if data is not None:
            _offer_table(data, name)
    return _read_click(event) if clickable else None


def show_csv(data: Table, name: str) -> None:
    """Show buttons that download a table."""
    with st.container(horizontal=True, gap="small"):
        _offer_table(data, name)


def offer_picture(pixels: NDArray[np.uint8], name: str) -> None:
    """Show a button that downloads a picture, ``[H, W, 3]``."""
    with st.container(horizontal=True, gap="small"):
        _offer("PNG", name, lambda: export.pixels_to_png(pixels), help="The picture as it stands.")


def _offer_table(data: Table, name: str) -> None:
    def make() -> pd.DataFrame:
        return data() if callable(data) else data

    _offer("CSV", name, lambda: export.frame_to_csv(make()), help="The numbers as a table.")
    _offer("Parquet", name, lambda: export.frame_to_parquet(make()), help="The numbers, typed.")


def _offer(
    label: str, name: str, make: Callable[[], bytes], *, help: str = "The figure as a picture."
) -> None:
    """Show a button that makes a file when it is pressed; its label is the kind of file."""
    kind = label.lower()
    st.download_button(
        label,
        data=make,
        file_name=f"{export.name_file(name)}.{kind}",
        mime=_MIME_TYPES[kind],
        key=f"{kind} {name}",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
        help=help,
    )


def _read_click(event: Any) -> int | None:
    points = event["selection"]["points"]
    facts = points[0].get("customdata") if points else None
    if not facts:
        return None
    # arrays that travel in binary come back as {"0": ..., "1": ...}
    return int(facts["0"] if isinstance(facts, dict) else facts[0])
