"""What can be done with the versions that are ticked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from analysis.errors import InputError
from analysis.jobs.extractions import is_read_only
from analysis.language import _
from analysis.payload.annotation import Annotation
from analysis.payload.annotations import annotate, pin_baseline
from analysis.payload.discovery import PayloadRef
from pages.components.frame import picker
from pages.components.home.rows import Row
from pages.components.shared import annotation_form, cache, selection
from pages.components.shared.text import plain


def show(picked: Sequence[Row], baseline: PayloadRef) -> None:
    """Show what can be done with the rows that are picked."""
    if not picked:
        st.caption(_("Tick rows to open, compare or pin them."))
        return
    single = picked[0] if len(picked) == 1 and not picked[0].members else None
    if single and st.button(_("Open"), icon=":material/visibility:", key="open version"):
        selection.remember("version", single.ref.key)
        st.switch_page("pages/overview.py")
    others = [one for row in picked for one in row.versions if not one.is_baseline]
    label = (
        _("Compare with the baseline")
        if len(others) < 2
        else _("Compare these {count}").format(count=len(others))
    )
    if others and st.button(label, icon=":material/difference:", key="compare versions"):
        compare(others, baseline)
    if len(others) > picker.MAX_COMPARED:
        st.caption(
            _("The first {max_compared} are compared.").format(max_compared=picker.MAX_COMPARED)
        )
    if is_read_only() or single is None:
        return
    try:
        if _show_changes(single):
            cache.forget_lists()
            st.rerun()
    except InputError as error:
        st.error(plain(str(error)), icon=":material/error:")


def compare(versions: Sequence[Row], baseline: PayloadRef) -> None:
    """Open Versions: the first against the baseline, the others beside it."""
    first, *others = [row.ref.key for row in versions][: picker.MAX_COMPARED]
    selection.remember("version", first)
    selection.remember("compare", ".".join([baseline.key, *others]))
    selection.remember("against", baseline.key)
    st.switch_page("pages/versions.py")


def _show_changes(row: Row) -> bool:
    """Show what can be changed about one version; return whether it was."""
    annotations = cache.read_annotations()
    is_pinned = annotations.baseline == row.ref.path
    if st.button(
        _("Unpin") if is_pinned else _("Pin as baseline"), icon=":material/keep:", key="pin version"
    ):
        pin_baseline(None if is_pinned else row.ref.path)
        selection.remember("base", None if is_pinned else row.ref.key)
        return True
    hidden = annotations.of(row.ref.path).hidden
    label, icon = (_("Show again"), "visibility") if hidden else (_("Hide"), "visibility_off")
    if st.button(label, icon=f":material/{icon}:", key="hide version"):
        before = Annotation(hidden=hidden)
        annotate(row.ref.path, replace(before, hidden=not hidden), before=before)
        selection.remember("rows", None)
        selection.remember("base", None if row.is_baseline else selection.recall("base"))
        return True
    form = st.popover(
        _("Name, tags, score, note"),
        icon=":material/edit:",
        key="edit version",
        on_change="rerun",
    )
    with form:
        return annotation_form.show(
            row.ref, annotations.of(row.ref.path), annotations.list_tags(), is_open=bool(form.open)
        )
