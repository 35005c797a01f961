"""The look for an audience: no sidebar, large type in figures; in the address as any choice."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from pages.components.shared import selection

FONT_SIZE = 19
GROWTH = 1.35
"""How much higher a figure is, to make room for its larger type."""

_NAME = "present"


def is_on() -> bool:
    """Return whether the page is shown to an audience."""
    return selection.recall(_NAME) == "on"


def show_switch() -> None:
    """Show the button that begins to present, at the end of the sidebar, or ends it.

    A button, since no key steps on while the focus is in a toggle, which is where it stays.
    """
    if is_on():
        st.button("End presenting", icon=":material/close:", width="stretch", on_click=end)
        return
    st.button(
        "Present",
        icon=":material/slideshow:",
        key="present",
        width="stretch",
        on_click=_begin,
        help="Large type in figures, and no sidebar; the browser's own zoom enlarges the rest.",
    )


def end() -> None:
    """Show the page as it was before, from the next run on."""
    selection.remember(_NAME, None)


def _begin() -> None:
    selection.remember(_NAME, "on")


def enlarge(figure: go.Figure, height: int) -> None:
    """Give a figure of this height the type that the last row can read, in place."""
    figure.update_layout(
        font_size=FONT_SIZE, hoverlabel_font_size=FONT_SIZE, height=round(height * GROWTH)
    )
    figure.update_annotations(font_size=FONT_SIZE)
    # three labels in each decade have no room side by side in large type
    figure.update_xaxes(tickangle=-45, selector={"dtick": "D2"})
