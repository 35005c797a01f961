"""The fields for what people say of a payload: name, tags, score, note."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from analysis.language import _
from analysis.payload.annotation import MAX_NAME, MAX_NOTE, MAX_TAGS, Annotation
from analysis.payload.annotations import annotate, load_annotations
from analysis.payload.discovery import PayloadRef


def show(ref: PayloadRef, about: Annotation, known_tags: list[str]) -> bool:
    """Show the fields; return whether they were saved.

    Args:
        ref: The payload.
        about: What is said of it.
        known_tags: Tags to choose from; others may be typed.

    Raises:
        ConfigError: If a text is too long, or nothing can be written.
    """
    with st.form(f"annotate {ref.key}", border=False):
        name = st.text_input(
            _("Name"),
            about.name or "",
            max_chars=MAX_NAME,
            placeholder=ref.name,
            help=_("Shown instead of the version, everywhere; the payload itself is not changed."),
        )
        tags = st.multiselect(
            _("Tags"),
            sorted({*known_tags, *about.tags}),
            list(about.tags),
            accept_new_options=True,
            max_selections=MAX_TAGS,
            placeholder=_("Choose tags, or type new ones"),
        )
        score = st.number_input(
            _("Score"),
            value=about.score,
            step=None,
            format="%g",
            help=_("How well the version does at its task, by a measure of your own."),
        )
        note = st.text_area(_("Note"), about.note or "", max_chars=MAX_NOTE, height=90)
        if not st.form_submit_button(_("Save"), icon=":material/save:"):
            return False
    typed: dict[str, Any] = {
        "name": name or None,
        "tags": tuple(tags),
        "score": score,
        "note": note.strip() or None,
    }
    changed = {key: value for key, value in typed.items() if value != getattr(about, key)}
    # what another person saved since this form was drawn stays, but for the same field
    annotate(ref.path, replace(load_annotations().of(ref.path), **changed))
    return True
