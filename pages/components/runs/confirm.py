"""Asking twice before something is gone."""

from __future__ import annotations

import streamlit as st

from analysis.language import _


def ask_twice(label: str, key: str, sentence: str) -> bool:
    """Show a button that opens a question; return whether the question was answered with yes.

    Args:
        label: Of the button, and of the answer.
        key: Unique on the page.
        sentence: What will be gone, as Markdown.
    """
    with st.popover(label, icon=":material/delete:", key=f"ask {key}"):
        st.markdown(sentence)
        return st.button(
            _("{label} for good").format(label=label),
            key=f"confirm {key}",
            type="primary",
            icon=":material/delete:",
        )
