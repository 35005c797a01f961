"""How far each layer moved, beside what chance alone gives."""

from __future__ import annotations

import streamlit as st

from analysis.read.compare.comparison import Comparison
from analysis.show.views import versions as views
from pages.components.shared import downloads


def show(comparison: Comparison) -> None:
    """Show drift and noise floor, and how many channels exceed it."""
    drift = views.drift(comparison, mode=downloads.mode())
    flagged = views.flagged(comparison, mode=downloads.mode())
    if flagged is None:
        downloads.show(drift)
        return
    for column, view in zip(st.columns(2), (drift, flagged), strict=True):
        with column:
            downloads.show(view)
