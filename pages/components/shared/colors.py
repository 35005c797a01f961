"""Which colour a version has: the same on all pages, in the whole session and behind its link."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.show.figures.theme import VERSION_COLORS
from pages.components.shared import selection
from pages.components.shared.version import Version

_KEY = "colours of versions"
_NAME = "colors"
"""Choice: the first digits of each version's key and its colour, where it is not by order."""
_DIGITS = 6


def choose_slots(versions: Sequence[Version]) -> list[int]:
    """Return the colour of each version, as `theme.version_color` counts them.

    A version keeps the first colour that it was given. Once all are given away, that of a version
    which is not looked at is free again.
    """
    given: dict[str, int] = st.session_state.setdefault(_KEY, _read())
    keys = [version.ref.key[:_DIGITS] for version in versions]
    for key in keys:
        if key in given:
            continue
        taken = set(given.values())
        free = [slot for slot in range(VERSION_COLORS) if slot not in taken]
        if not free:
            forgotten = next((other for other in given if other not in keys), None)
            free = [given.pop(forgotten)] if forgotten else [len(given)]
        given[key] = free[0]
    if any(given.get(key, slot) != slot for slot, key in enumerate(_list_picked())):
        _write(given)  # else a link gives the same ones, by order
    return [given[key] for key in keys]


def _list_picked() -> list[str]:
    compared = (selection.recall("compare") or "").split(".")
    picked = [selection.recall("version") or "", *compared]
    return [key[:_DIGITS] for key in picked if key]


def _read() -> dict[str, int]:
    entries = (selection.recall(_NAME) or "").split(".")
    known = {entry[:_DIGITS]: entry[_DIGITS:] for entry in entries}
    slots = {key: int(text) for key, text in known.items() if text.isdecimal() and len(text) < 3}
    return {key: slot for key, slot in slots.items() if slot < VERSION_COLORS}


def _write(given: dict[str, int]) -> None:
    text = ".".join(f"{key}{slot}" for key, slot in given.items())
    if selection.recall(_NAME) != text:
        selection.remember(_NAME, text)
        selection.write_address()
