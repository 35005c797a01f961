"""The list of saved views: a page with its choices each, kept in the address.

A link therefore carries the whole list, a reload keeps it, and nothing is stored on the server.
What the address holds is typed by anyone: whatever cannot be read is no list.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from analysis.language import N_, Texts, _
from analysis.show.figures.theme import REPRESENTATION_LABELS, ROLE_LABELS
from pages.components.frame import shell
from pages.components.shared import present, selection

MAX_VIEWS = 20
MAX_BYTES = 64_000
"""Of the list as JSON; a short text can unpack to gigabytes."""
MAX_NAME = 80
MAX_NOTE = 500
"""Characters."""

NAME = "views"
AT = "at"
NOT_OF_A_VIEW = {NAME, AT, "present", "job", "tour", "form", "lang"}
"""Choices that belong to the visitor."""
_TOLD = (present.FIGURE, "view", "layer", "channel", "representation", "role")
"""What names a view, in this order."""
_COUNTED = Texts({"layer": N_("layer {number}"), "channel": N_("channel {number}")})


@dataclass(frozen=True)
class SavedView:
    """One page and the choices made on it."""

    page: str
    """Stem of the page's file."""
    choices: Mapping[str, str]
    name: str = ""
    """What somebody called it; empty for nothing."""
    note: str = ""
    """What somebody wrote of it; on the slides, never before an audience."""

    @property
    def label(self) -> str:
        """What tells it from the others."""
        if self.name:
            return self.name
        parts = [
            _COUNTED[name].format(number=value) if name in _COUNTED else _describe(value)
            for name, value in ((name, self.choices.get(name)) for name in _TOLD)
            if value is not None and value != self.page
        ]
        return ", ".join([_(self.page.capitalize()), *parts])


def _describe(value: str) -> str:
    known = {
        str(key): label
        for labels in (REPRESENTATION_LABELS, ROLE_LABELS)
        for key, label in labels.items()
    }
    return known.get(value, _(value.replace("_", " ")))


def list_choices() -> dict[str, str]:
    """Return the choices of now that a view would be saved with."""
    chosen = selection.all_choices()
    return {name: value for name, value in chosen.items() if name not in NOT_OF_A_VIEW}


def open_view(page: str, choices: Mapping[str, str], at: int | None) -> None:
    """Go to a page with these choices and no others.

    Args:
        page: Stem of the page's file.
        choices: As `list_choices` returned them.
        at: Its place in the list; None for no place.
    """
    for name in set(selection.all_choices()) - NOT_OF_A_VIEW:
        selection.remember(name, None)
    for name, value in choices.items():
        selection.remember(name, value)
    selection.remember(AT, None if at is None else str(at))
    st.switch_page(f"pages/{page}.py")


def store(views: Sequence[SavedView]) -> None:
    """Write the list into the address."""
    content = json.dumps([_to_entry(view) for view in views], ensure_ascii=False)
    packed = base64.urlsafe_b64encode(zlib.compress(content.encode(), 9)).decode()
    selection.remember(NAME, packed if views else None)


def load() -> list[SavedView]:
    """Return the list that the address holds."""
    packed = selection.recall(NAME)
    if packed is None:
        return []
    try:
        content = zlib.decompressobj().decompress(base64.urlsafe_b64decode(packed), MAX_BYTES)
        return [_read(entry) for entry in json.loads(content)][:MAX_VIEWS]
    except (binascii.Error, zlib.error, ValueError, TypeError, RecursionError):
        return []


def _to_entry(view: SavedView) -> list[object]:
    texts = [view.name, view.note]
    while texts and not texts[-1]:
        texts.pop()
    return [view.page, dict(view.choices), *texts]


def _read(entry: object) -> SavedView:
    if not (isinstance(entry, list) and 2 <= len(entry) <= 4):
        raise ValueError("a view is a page, its choices and perhaps a name and a note")
    page, choices, name, note = (*entry, "", "")[:4]
    if page not in shell.PAGES or not isinstance(choices, dict):
        raise ValueError("a view is one of the pages and its choices")
    if not all(isinstance(value, str) for value in (name, note, *choices.values())):
        raise ValueError("choices, names and notes are texts")
    shown = {key: value for key, value in choices.items() if key not in NOT_OF_A_VIEW}
    return SavedView(page, shown, name[:MAX_NAME], note[:MAX_NOTE])
