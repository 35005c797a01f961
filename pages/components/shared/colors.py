"""Which colour a version has: the same on all pages, for as long as the session lasts."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.show.figures.theme import VERSION_COLORS
from pages.components.shared.version import Version

_KEY = "colours of versions"


def choose_slots(versions: Sequence[Version]) -> list[int]:
    """Return the colour of each version, as `theme.version_color` counts them.

    A version keeps the first colour that it was given. Once all are given away, that of a version
    which is not looked at is free again.
    """
    given: dict[str, int] = st.session_state.setdefault(_KEY, {})
    keys = [version.ref.key for version in versions]
    for key in keys:
        if key in given:
            continue
        taken = set(given.values())
        free = [slot for slot in range(VERSION_COLORS) if slot not in taken]
        if not free:
            forgotten = next((other for other in given if other not in keys), None)
            free = [given.pop(forgotten)] if forgotten else [len(given)]
        given[key] = free[0]
    return [given[key] for key in keys]
