"""Scores of the versions: numbers of the metrics files that stand beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from analysis.payload.metrics import read_metrics


def read_all(payloads: Sequence[Path]) -> dict[Path, dict[str, float]]:
    """Return the metrics of each payload that has some; read every thirty seconds."""
    return _read_all(payloads, hash(tuple(payloads)))


@st.cache_data(ttl=30, max_entries=8, show_spinner=False)
def _read_all(_payloads: Sequence[Path], key: int) -> dict[Path, dict[str, float]]:
    del key  # Streamlit takes long to hash the paths themselves
    found = {path: read_metrics(path) for path in _payloads}
    return {path: metrics for path, metrics in found.items() if metrics}
