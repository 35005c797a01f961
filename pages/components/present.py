"""The look for an audience: no sidebar, large type in figures; in the address as any choice."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from pages.components import selection

FONT_SIZE = 19
GROWTH = 1.35
"""How much higher a figure is, to make room for its larger type."""

_NAME = "present"


def is_on() -> bool:
    """Return whether the page is shown to an audience."""
    return selection.recall(_NAME) == "on"


def show_switch() -> None:
    """Show the switch, at the end of the sidebar, which it hides."""
    before = is_on()
    now = selection.switch(
        _NAME,
        "Present",
        default=False,
        help="Large type in figures, and no sidebar; the arrow at the top left brings it back.",
    )
    if now != before:
        st.rerun()  # the sidebar and the figures are drawn from the start of a run


def end() -> None:
    """Show the page as it was before, from the next run on."""
    selection.remember(_NAME, None)


def enlarge(figure: go.Figure, height: int) -> None:
    """Give a figure of this height the type that the last row can read, in place."""
    figure.update_layout(
        font_size=FONT_SIZE, hoverlabel_font_size=FONT_SIZE, height=round(height * GROWTH)
    )
    figure.update_annotations(font_size=FONT_SIZE)
