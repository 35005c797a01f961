"""Saved views, to step through before an audience: all of them stand in the address.

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

from analysis.show.figures.theme import REPRESENTATION_LABELS, ROLE_LABELS
from pages.components.frame import shell
from pages.components.shared import present, selection
from pages.components.shared.text import plain

MAX_VIEWS = 20
MAX_BYTES = 64_000
"""Of the list as JSON; a short text can unpack to gigabytes."""

_NAME = "views"
_AT = "at"
_NOT_OF_A_VIEW = {_NAME, _AT, "present", "job", "tour"}
"""Choices that belong to the visitor."""
_TOLD = ("view", "layer", "channel", "representation", "role")
"""What names a view, in this order."""
_NUMBERS = ("layer", "channel")
_WORDS: dict[str, str] = {
    **{str(key): label for key, label in REPRESENTATION_LABELS.items()},
    **{str(key): label for key, label in ROLE_LABELS.items()},
}
MAX_NAME = 80
"""Characters."""

_TYPED = "name of the view"


@dataclass(frozen=True)
class View:
    """One page and the choices made on it."""

    page: str
    """Stem of the page's file."""
    choices: Mapping[str, str]
    name: str = ""
    """What somebody called it; empty for nothing."""

    @property
    def label(self) -> str:
        """What tells it from the others."""
        if self.name:
            return self.name
        parts = [
            f"{name} {value}" if name in _NUMBERS else _WORDS.get(value, value.replace("_", " "))
            for name, value in ((name, self.choices.get(name)) for name in _TOLD)
            if value is not None
        ]
        return ", ".join([self.page.capitalize(), *parts])


def show_list(page: str) -> None:
    """Show, in the sidebar, the saved views and the button that saves another.

    Args:
        page: Stem of the page that is shown.
    """
    views = _load()
    label = f"Saved views ({len(views)})" if views else "Saved views"
    with st.expander(label, icon=":material/bookmarks:", key="saved views"):
        st.caption(
            "Save views on any page, then press **Present** and step through them with the "
            "buttons or Page Up and Page Down. The link holds them all."
        )
        for number, view in enumerate(views):
            with st.container(
                horizontal=True,
                horizontal_alignment="distribute",
                vertical_alignment="center",
                gap="small",
            ):
                name = f"{number + 1}. {plain(view.label)}"
                if st.button(name, key=f"open view {number}", type="tertiary"):
                    _open(views, number)
                st.button(
                    "",
                    key=f"drop view {number}",
                    type="tertiary",
                    icon=":material/close:",
                    help="Take it off the list",
                    on_click=_drop,
                    args=(number,),
                )
        with st.form("form of the view", border=False, clear_on_submit=True):
            st.text_input(
                "Name", key=_TYPED, max_chars=MAX_NAME, placeholder="else its choices name it"
            )
            st.form_submit_button(
                "Save this view",
                key="save view",
                icon=":material/bookmark_add:",
                width="stretch",
                disabled=len(views) >= MAX_VIEWS,
                help=f"This page with its choices; up to {MAX_VIEWS}.",
                on_click=_save,
                args=(page,),
            )


def show_steps() -> None:
    """Show, to an audience, where in the list it is and the steps to the views beside."""
    if not present.is_on():
        return
    views = _load()
    if not views:
        with st.container(horizontal=True, vertical_alignment="center", key="steps"):
            st.button("End", key="step end", icon=":material/close:", on_click=present.end)
            st.caption("Views that are saved in the sidebar could be stepped through here.")
        return
    at = _position(len(views))
    with st.container(horizontal=True, vertical_alignment="center", key="steps"):
        back = st.button(
            "Back",
            key="step back",
            icon=":material/arrow_back:",
            shortcut="PageUp",
            disabled=at is None or at == 0,
        )
        on = st.button(
            "Next",
            key="step on",
            icon=":material/arrow_forward:",
            shortcut="PageDown",
            disabled=at == len(views) - 1,
        )
        st.button("End", key="step end", type="tertiary", on_click=present.end)
        if at is not None:
            st.caption(f"{at + 1} of {len(views)}: {plain(views[at].label)}")
    if on:
        _open(views, 0 if at is None else at + 1)
    if back and at:
        _open(views, at - 1)


def _save(page: str) -> None:
    choices = {
        name: value for name, value in selection.all_choices().items() if name not in _NOT_OF_A_VIEW
    }
    name = str(st.session_state.get(_TYPED, "")).strip()
    views = [*_load(), View(page, choices, name)]
    _store(views)
    selection.remember(_AT, str(len(views) - 1))


def _drop(number: int) -> None:
    views = _load()
    _store([*views[:number], *views[number + 1 :]])
    selection.remember(_AT, None)


def _open(views: Sequence[View], number: int) -> None:
    view = views[number]
    for name in set(selection.all_choices()) - _NOT_OF_A_VIEW:
        selection.remember(name, None)
    for name, value in view.choices.items():
        selection.remember(name, value)
    selection.remember(_AT, str(number))
    st.switch_page(f"pages/{view.page}.py")


def _position(count: int) -> int | None:
    at = selection.recall(_AT) or ""
    return int(at) if at.isdecimal() and int(at) < count else None


def _store(views: Sequence[View]) -> None:
    entries = [
        [view.page, dict(view.choices), *([view.name] if view.name else [])] for view in views
    ]
    content = json.dumps(entries, ensure_ascii=False)
    packed = base64.urlsafe_b64encode(zlib.compress(content.encode(), 9)).decode()
    selection.remember(_NAME, packed if views else None)


def _load() -> list[View]:
    packed = selection.recall(_NAME)
    if packed is None:
        return []
    try:
        content = zlib.decompressobj().decompress(base64.urlsafe_b64decode(packed), MAX_BYTES)
        return [_read(entry) for entry in json.loads(content)][:MAX_VIEWS]
    except (binascii.Error, zlib.error, ValueError, TypeError, RecursionError):
        return []


def _read(entry: object) -> View:
    if not (isinstance(entry, list) and len(entry) in (2, 3)):
        raise ValueError("a view is a page, its choices and perhaps a name")
    page, choices, name = (*entry, "")[:3]
    if page not in shell.PAGES or not isinstance(choices, dict):
        raise ValueError("a view is one of the pages and its choices")
    if not all(isinstance(value, str) for value in (name, *choices.values())):
        raise ValueError("choices and names are texts")
    shown = {key: value for key, value in choices.items() if key not in _NOT_OF_A_VIEW}
    return View(page, shown, name[:MAX_NAME])
