"""From a clicked point to the page of its channel."""

from __future__ import annotations

import streamlit as st

from pages.components.shared import selection

PAGE = "pages/channels.py"


def follow(channel: int | None) -> None:
    """Go to the channel's page, if one was clicked; layer, tokens and version go along."""
    if channel is None:
        return
    selection.remember("channel", str(channel))
    st.switch_page(PAGE)


def turn_to(channel: int | None, source: str) -> None:
    """Show the channel that was clicked on its own page; a click that still stands is done once.

    Args:
        channel: What is selected; None for nothing.
        source: Names the figure or table.
    """
    key = f"turned by {source}"
    if channel == st.session_state.get(key):
        return
    st.session_state[key] = channel
    if channel is not None:
        selection.remember("channel", str(channel))
        st.rerun()
