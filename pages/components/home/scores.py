"""Scores of the versions: numbers of the metrics files that stand beside them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from analysis.payload.metrics import read_metrics


@st.cache_data(ttl=30, max_entries=8, show_spinner=False)
def read_all(payloads: tuple[Path, ...]) -> dict[Path, dict[str, float]]:
    """Return the metrics of each payload that has some; read every thirty seconds."""
    found = {path: read_metrics(path) for path in payloads}
    return {path: metrics for path, metrics in found.items() if metrics}
