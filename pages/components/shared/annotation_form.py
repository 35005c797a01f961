"""The fields for what people say of a payload: name, tags, score, note."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from analysis.language import _
from analysis.payload.annotation import (
    MAX_NAME,
    MAX_NOTE,
    MAX_TAGS,
    Annotation,
    ConflictError,
)
from analysis.payload.annotations import annotate, load_annotations
from analysis.payload.discovery import PayloadRef

_DRAFT = "annotation draft"
_NUMBER = "annotation drafts"


@dataclass(frozen=True)
class _Draft:
    """What somebody is typing about one payload; kept while the page is drawn again."""

    key: str
    number: int
    """Of the form; another one has other fields."""
    shown: Annotation
    """What stood in the fields at first."""
    before: Annotation
    """What is replaced without asking: `shown`, and what others saved since and one has read."""
    is_open: bool = False


def show(
    ref: PayloadRef, about: Annotation, known_tags: list[str], *, is_open: bool = True
) -> bool:
    """Show the fields; return whether they were saved.

    What was typed stays in its field when somebody else saves meanwhile.

    Args:
        ref: The payload.
        about: What is said of it.
        known_tags: Tags to choose from; others may be typed.
        is_open: Whether the visitor sees the fields; once they open, they show what is stored.

    Raises:
        ConfigError: If a text is too long, somebody else changed the same field, or nothing can
            be written.
    """
    draft = _open_draft(ref, about, is_open)
    about, end = draft.shown, f"{draft.number} {ref.key}"
    with st.form(f"annotate {ref.key}", border=False):
        name = st.text_input(
            _("Name"),
            about.name or "",
            key=f"name {end}",
            max_chars=MAX_NAME,
            placeholder=ref.name,
            help=_("Shown instead of the version, everywhere; the payload itself is not changed."),
        )
        tags = st.multiselect(
            _("Tags"),
            sorted({*known_tags, *about.tags}),
            list(about.tags),
            key=f"tags {end}",
            accept_new_options=True,
            max_selections=MAX_TAGS,
            placeholder=_("Choose tags, or type new ones"),
        )
        score = st.number_input(
            _("Score"),
            value=about.score,
            key=f"score {end}",
            step=None,
            format="%g",
            help=_("How well the version does at its task, by a measure of your own."),
        )
        note = st.text_area(
            _("Note"), about.note or "", key=f"note {end}", max_chars=MAX_NOTE, height=90
        )
        if not st.form_submit_button(_("Save"), icon=":material/save:"):
            return False
    typed = Annotation(name, note, draft.before.hidden, tuple(tags), score)
    try:
        annotate(ref.path, typed, before=draft.before)
    except ConflictError as conflict:
        stored = load_annotations().of(ref.path)
        theirs: dict[str, Any] = {name: getattr(stored, name) for name in conflict.fields}
        st.session_state[_DRAFT] = replace(draft, before=replace(draft.before, **theirs))
        raise
    del st.session_state[_DRAFT]
    return True


def _open_draft(ref: PayloadRef, about: Annotation, is_open: bool) -> _Draft:
    draft: _Draft | None = st.session_state.get(_DRAFT)
    is_seen = draft is not None and draft.is_open and is_open
    if draft is None or draft.key != ref.key or (draft.before != about and not is_seen):
        number = st.session_state.get(_NUMBER, 0) + 1
        draft = _Draft(ref.key, number, about, about)
        st.session_state[_NUMBER] = number
    draft = st.session_state[_DRAFT] = replace(draft, is_open=is_open)
    return draft
