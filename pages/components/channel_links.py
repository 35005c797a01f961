"""From a clicked point to the page of its channel."""

from __future__ import annotations

import streamlit as st

from pages.components import selection

PAGE = "pages/channels.py"


def follow(channel: int | None) -> None:
    """Go to the channel's page, if one was clicked; layer, tokens and version go along."""
    if channel is None:
        return
    selection.remember("channel", str(channel))
    st.switch_page(PAGE)
