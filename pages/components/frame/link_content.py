"""Say when a payload was extracted anew since the link to it was made.

A link names a payload by its path. Beside it the address keeps a mark of what was measured, for
each payload that is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from analysis.errors import PayloadError
from analysis.language import _
from analysis.payload.discovery import PayloadRef, load_ref
from pages.components.shared import selection
from pages.components.shared.text import plain

_NAME = "content"
"""Choice: for each payload the first four digits of its key and its mark, joined by dots."""
_DIGITS = 4


def check(refs: Sequence[PayloadRef]) -> None:
    """Name the payloads whose content is not the one in the address; note the others' marks."""
    known = _read()
    marks = {ref.key[:_DIGITS]: _read_mark(ref) for ref in refs}
    noted = {short: known.get(short, mark) for short, mark in marks.items()}
    _write(noted)
    changed = [ref for ref in refs if noted[ref.key[:_DIGITS]] != marks[ref.key[:_DIGITS]]]
    for ref in changed:
        st.warning(
            _(
                "{name} was extracted anew since this link was made or this view "
                "was opened. The numbers shown are the new ones."
            ).format(name=plain(ref.name)),
            icon=":material/update:",
        )
    if changed:
        st.button(_("Go on with the new numbers"), width="stretch", on_click=_write, args=({},))


def forget(key: str) -> None:
    """Take the payload of this key as it is from now on."""
    _write({short: mark for short, mark in _read().items() if short != key[:_DIGITS]})


def _read_mark(ref: PayloadRef) -> str:
    """Return the mark of the file as it is now: the list of payloads may be some seconds old."""
    try:
        return load_ref(ref.path).mark
    except PayloadError:
        return ref.mark


def _read() -> dict[str, str]:
    entries = (selection.recall(_NAME) or "").split(".")
    return {entry[:_DIGITS]: entry[_DIGITS:] for entry in entries if entry}


def _write(marks: Mapping[str, str]) -> None:
    selection.remember(_NAME, ".".join(short + mark for short, mark in marks.items()) or None)
