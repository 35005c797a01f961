"""Which versions have vectors of single images, whose best probe the list shows."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.payload.discovery import PayloadRef
from analysis.payload.features import features_path


def find_vectors(refs: Sequence[PayloadRef]) -> list[bool]:
    """Return whether vectors stand beside each payload; looked for every thirty seconds."""
    return _find_vectors(refs, hash(tuple(ref.fingerprint for ref in refs)))


@st.cache_data(ttl=30, max_entries=8, show_spinner=False)
def _find_vectors(_refs: Sequence[PayloadRef], key: int) -> list[bool]:
    del key  # Streamlit takes long to hash the payloads themselves
    return [features_path(ref.path).is_file() for ref in _refs]
