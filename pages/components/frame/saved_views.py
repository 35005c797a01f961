"""Saved views, to step through before an audience and to take away as slides."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.language import _
from analysis.show.export import name_file
from pages.components.frame import slides, view_list
from pages.components.frame.view_list import MAX_NAME, MAX_NOTE, MAX_VIEWS, SavedView
from pages.components.shared import present, selection
from pages.components.shared.text import plain

_TYPED = "name of the view"
_NOTE = "note of the view"


def show_list(page: str) -> None:
    """Show, in the sidebar, the saved views and the button that saves another.

    Args:
        page: Stem of the page that is shown.
    """
    views = view_list.load()
    label = _("Saved views ({count})").format(count=len(views)) if views else _("Saved views")
    with st.expander(label, icon=":material/bookmarks:", key="saved views"):
        st.caption(
            _(
                "Save views on any page, then press **Present** and step through "
                "them with the buttons or Page Up and Page Down. The link holds "
                "them all."
            )
        )
        for number, view in enumerate(views):
            _show_entry(views, number, view)
        slides.show(views, page)
        with st.form("form of the view", border=False, clear_on_submit=True):
            st.text_input(
                _("Name"), key=_TYPED, max_chars=MAX_NAME, placeholder=_("else its choices name it")
            )
            st.text_area(
                _("Note"),
                key=_NOTE,
                max_chars=MAX_NOTE,
                height=68,
                help=_("Stands below its slide."),
            )
            st.form_submit_button(
                _("Save this view"),
                key="save view",
                icon=":material/bookmark_add:",
                width="stretch",
                disabled=len(views) >= MAX_VIEWS,
                help=_(
                    "This page with its choices, and the figure that was presented "
                    "last; up to {max_views}."
                ).format(max_views=MAX_VIEWS),
                on_click=_save,
                args=(page,),
            )


def _show_entry(views: Sequence[SavedView], number: int, view: SavedView) -> None:
    with st.container(
        horizontal=True,
        horizontal_alignment="distribute",
        vertical_alignment="center",
        gap="small",
    ):
        name = f"{number + 1}. {plain(view.label)}"
        note = plain(view.note) or None
        if st.button(name, key=f"open view {number}", type="tertiary", help=note):
            view_list.open_view(view.page, view.choices, number)
        with st.container(horizontal=True, width="content", gap=None):
            st.button(
                "",
                key=f"raise view {number}",
                type="tertiary",
                icon=":material/arrow_upward:",
                help=_("Show it earlier"),
                disabled=number == 0,
                on_click=_raise,
                args=(number,),
            )
            st.button(
                "",
                key=f"drop view {number}",
                type="tertiary",
                icon=":material/close:",
                help=_("Take it off the list"),
                on_click=_drop,
                args=(number,),
            )


def show_steps(page: str) -> None:
    """Show, to an audience, where in the list it is and the steps to the views beside.

    Without saved views the steps lead through the figures of the page.

    Args:
        page: Stem of the page that is shown.
    """
    views, figures = view_list.load(), present.list_figures()
    if not present.is_on():
        _lead_to_place(views)
        return
    count = len(views or figures)
    at = _position(len(views)) if views else _place_of_figure(figures)
    with st.container(horizontal=True, vertical_alignment="center", key="steps"):
        back = st.button(
            _("Back"),
            key="step back",
            icon=":material/arrow_back:",
            shortcut="PageUp",
            disabled=not at,
        )
        on = st.button(
            _("Next"),
            key="step on",
            icon=":material/arrow_forward:",
            shortcut="PageDown",
            disabled=at == count - 1,
        )
        st.button(_("End"), key="step end", type="tertiary", on_click=present.end)
        if at is not None:
            told = f": {plain(views[at].label)}" if views else _(" figures of this page")
            st.caption(_("{at} of {count}{told}").format(at=at + 1, count=count, told=told))
        if len(views) < MAX_VIEWS:
            st.button(
                _("Save"),
                key="step save",
                type="tertiary",
                icon=":material/bookmark_add:",
                on_click=_save,
                args=(page,),
                help=_("Save this figure as a view"),
            )
    if on or (back and at):
        number = (0 if at is None else at + 1) if on else (at or 0) - 1
        if views:
            view_list.open_view(views[number].page, views[number].choices, number)
        elif number < count:
            selection.remember(present.FIGURE, figures[number])
            st.rerun()


def _lead_to_place(views: Sequence[SavedView]) -> None:
    """Show, above the page of a saved view, a link down to the figure that it was saved with."""
    at = _position(len(views))
    figure = selection.recall(present.FIGURE)
    if at is not None and figure is not None and views[at].choices.get(present.FIGURE) == figure:
        with st.container(key="place"):
            told = f":material/bookmark: {plain(views[at].label)}"
            st.caption(
                _("{told}: [to its figure](#{file})").format(told=told, file=name_file(figure))
            )


def _place_of_figure(figures: Sequence[str]) -> int | None:
    chosen = selection.recall(present.FIGURE)
    return figures.index(chosen) if chosen in figures else 0 if figures else None


def _save(page: str) -> None:
    name, note = (str(st.session_state.get(key, "")).strip() for key in (_TYPED, _NOTE))
    choices = view_list.list_choices()
    if present.is_on() and (figures := present.list_figures()):
        choices.setdefault(present.FIGURE, figures[0])
    views = [*view_list.load(), SavedView(page, choices, name, note)]
    view_list.store(views)
    selection.remember(view_list.AT, str(len(views) - 1))


def _drop(number: int) -> None:
    views = view_list.load()
    view_list.store([*views[:number], *views[number + 1 :]])
    selection.remember(view_list.AT, None)


def _raise(number: int) -> None:
    views = view_list.load()
    views[number - 1 : number + 1] = views[number - 1 : number + 1][::-1]
    view_list.store(views)
    selection.remember(view_list.AT, None)


def _position(count: int) -> int | None:
    at = selection.to_whole(selection.recall(view_list.AT))
    return at if at is not None and at < count else None
