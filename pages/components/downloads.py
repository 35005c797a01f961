"""Figures and tables to take away: interactive HTML that works offline, and CSV."""

from __future__ import annotations

import io
import re

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from analysis.figures import theme

HEIGHT = 450
ROW_HEIGHT = 17
ROOM_AROUND = 120
"""Pixels: the legend above the rows and the axis below."""


def mode() -> theme.Mode:
    """Return whether the viewer looks at a light or a dark page."""
    return "dark" if st.context.theme.type == "dark" else "light"


def show_figure(
    figure: go.Figure, name: str, data: pd.DataFrame | None = None, *, rows: int = 0
) -> None:
    """Draw a figure, with buttons to take it (and the numbers behind it) away.

    Args:
        figure: Themed by `analysis.figures` for the present mode.
        name: Names the element and the files; unique on the page.
        data: What the figure shows, as a table.
        rows: Labelled rows that must have room below each other.
    """
    figure.update_layout(height=max(HEIGHT, ROOM_AROUND + rows * ROW_HEIGHT))
    st.plotly_chart(figure, key=f"figure {name}", theme=None, config={"displaylogo": False})
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "HTML",
            data=lambda: _to_html(figure),
            file_name=f"{_file_stem(name)}.html",
            mime="text/html",
            key=f"html {name}",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
            help="The interactive figure as one file that opens without a network.",
        )
        if data is not None:
            show_csv(data, name)


def show_csv(data: pd.DataFrame, name: str) -> None:
    """Show a button that downloads a table."""
    st.download_button(
        "CSV",
        data=lambda: _to_csv(data),
        file_name=f"{_file_stem(name)}.csv",
        mime="text/csv",
        key=f"csv {name}",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
        help="The numbers as a table.",
    )


def _to_html(figure: go.Figure) -> bytes:
    exported = theme.prepare_export(figure, mode())
    return exported.to_html(include_plotlyjs=True).encode()


def _to_csv(data: pd.DataFrame) -> bytes:
    buffer = io.StringIO()
    data.to_csv(buffer, index=False)
    return buffer.getvalue().encode()


def _file_stem(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("_")[:80]
