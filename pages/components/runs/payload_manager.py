"""The payloads that are there, to be renamed, noted, tagged, hidden, pinned and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pandas as pd
import streamlit as st

from analysis.errors import InputError
from analysis.jobs.extractions import is_read_only, list_outputs_being_written
from analysis.language import _, pgettext
from analysis.payload.annotation import Annotation
from analysis.payload.annotations import (
    Annotations,
    annotate,
    delete_payload,
    pin_baseline,
)
from analysis.payload.discovery import PayloadRef
from pages.components.frame import picker
from pages.components.runs import confirm
from pages.components.shared import annotation_form, cache
from pages.components.shared.text import format_bytes, plain, shorten_path

FORM_PIXELS = 640


def show() -> None:
    """Show every payload below the allowed roots, also hidden ones, and what one can do with it."""
    refs, remarks = cache.find_payloads(), cache.read_annotations()
    if not refs:
        st.caption(_("No payload found yet."))
        return
    ref = _choose(refs, remarks)
    about, is_baseline = remarks.of(ref.path), ref.path == remarks.baseline
    st.markdown(f"**{plain(about.name or ref.name)}**")
    if is_read_only():
        st.caption(plain(about.note or "") or _("No note."))
        return
    try:
        with st.container(width=FORM_PIXELS):
            saved = annotation_form.show(ref, about, remarks.list_tags())
        if saved or _show_actions(ref, about, is_baseline):
            cache.forget_lists()
            st.rerun()
    except InputError as error:
        st.error(plain(str(error)), icon=":material/error:")


def _choose(refs: Sequence[PayloadRef], remarks: Annotations) -> PayloadRef:
    frame = pd.DataFrame(
        {
            "name": picker.name_refs(refs),
            "marks": [_mark(ref, remarks) for ref in refs],
            "images": pd.array([ref.facts.num_images for ref in refs], dtype="Int64"),
            "size": [format_bytes(ref.size) for ref in refs],
            "measured": [ref.created.astimezone(UTC) for ref in refs],
            "note": [remarks.of(ref.path).note or "" for ref in refs],
            "file": [shorten_path(ref.path, Path.cwd()) for ref in refs],
        }
    )
    event = st.dataframe(
        frame,
        hide_index=True,
        key=f"payloads {len(refs)} {refs[0].key}",
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [0]}},
        column_config={
            "name": st.column_config.TextColumn(_("Name")),
            "marks": st.column_config.TextColumn(_("Marks")),
            "images": st.column_config.NumberColumn(pgettext("count", "Images"), width="small"),
            "size": st.column_config.TextColumn(_("Size"), width="small"),
            "measured": st.column_config.DatetimeColumn(
                _("Measured (UTC)"), format="YYYY-MM-DD HH:mm"
            ),
            "note": st.column_config.TextColumn(_("Note")),
            "file": st.column_config.TextColumn(_("File"), width="large"),
        },
    )
    rows = event["selection"]["rows"]
    return refs[rows[0]] if rows and rows[0] < len(refs) else refs[0]


def _mark(ref: PayloadRef, remarks: Annotations) -> str:
    marks = {
        _("adapter NOT loaded"): bool(ref.facts.lora_error),
        _("baseline"): ref.path == remarks.baseline,
        _("hidden"): remarks.of(ref.path).hidden,
    }
    return _(", ").join(mark for mark, holds in marks.items() if holds)


def _show_actions(ref: PayloadRef, about: Annotation, is_baseline: bool) -> bool:
    """Show what can be done with a payload; return whether anything was."""
    with st.container(horizontal=True):
        if st.button(_("Show it"), key=f"show {ref.key}", icon=":material/visibility:"):
            picker.pick(ref.path)
            st.switch_page("pages/overview.py")
        if st.button(
            _("Unpin") if is_baseline else _("Pin as baseline"),
            key=f"pin {ref.key}",
            icon=":material/keep:",
            help=_("The baseline is what others are compared with unless you choose otherwise."),
        ):
            pin_baseline(None if is_baseline else ref.path)
            return True
        if st.button(
            _("Unhide") if about.hidden else _("Hide"),
            key=f"hide {ref.key}",
            icon=":material/visibility_off:",
            help=_("A hidden payload is not offered in the sidebar; links to it still work."),
        ):
            annotate(ref.path, replace(about, hidden=not about.hidden), before=about)
            return True
        if confirm.ask_twice(
            _("Delete"),
            f"payload {ref.key}",
            _("Delete {path} with its log? It cannot be brought back.").format(
                path=plain(str(ref.path))
            ),
        ):
            delete_payload(ref.path, being_written=list_outputs_being_written())
            return True
    return False
