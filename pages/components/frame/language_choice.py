"""The language of the dashboard: chosen by a small button, remembered in the link."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from analysis import language
from pages.components.shared import selection

NAME = "lang"
"""In the address; absent for English."""


def follow() -> bool:
    """Put what this run shows into the language of the link; return whether it was another."""
    language.ask(_recall)
    before = language.current()
    language.choose(_recall() or language.SOURCE)
    return language.current() != before


def show_switch() -> None:
    """Show the button that turns to the other language, named in that language."""
    now = language.current()
    for other, name in language.LANGUAGES.items():
        if other != now:
            st.button(
                name,
                key=f"speak {other}",
                type="tertiary",
                icon=":material/translate:",
                on_click=selection.remember,
                args=(NAME, None if other == language.SOURCE else other),
            )


def _recall() -> str | None:
    """Return the language of the session; None in a thread that draws no page."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    return selection.recall(NAME) or language.SOURCE
