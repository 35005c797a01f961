"""The saved views as slides: each is opened once, as on the screen, and its figure is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import streamlit as st

from analysis import language
from analysis.language import _
from analysis.show import browser_images
from analysis.show.slides import Slide, build_slides
from analysis.show.view import View
from pages.components.frame import view_list
from pages.components.frame.view_list import SavedView
from pages.components.shared import downloads, selection

_WALK = "walk through the saved views"
_MADE = "slides of the saved views"


@dataclass
class _Walk:
    """A visit of every saved view, and where it began."""

    views: list[SavedView]
    page: str
    choices: Mapping[str, str]
    at: int | None
    slides: list[Slide] = field(default_factory=list)


def show(views: Sequence[SavedView], page: str) -> None:
    """Show, in the sidebar, how far the slides are, or what to make or take of them.

    Args:
        views: The saved views.
        page: Stem of the page that is shown.
    """
    walk: _Walk | None = st.session_state.get(_WALK)
    if walk is not None:
        done, count = len(walk.slides), len(walk.views)
        st.progress(
            done / count,
            text=_("Slide {done} of {count}").format(done=min(done + 1, count), count=count),
        )
        st.button(_("Stop"), key="stop slides", on_click=_stop)
        return
    if not views:
        return
    made: tuple[list[SavedView], list[Slide]] = st.session_state.get(_MADE, ([], []))
    if made[0] != list(views):
        if st.button(
            _("Make slides"),
            key="make slides",
            icon=":material/co_present:",
            width="stretch",
            help=_("Opens each view once; the file is offered then."),
        ):
            at = selection.to_whole(selection.recall(view_list.AT))
            walk = _Walk(list(views), page, view_list.list_choices(), at)
            st.session_state[_WALK] = walk
            _open_next(walk)
        return
    _offer(made[1])


def go_on(page: str, view: View | None) -> None:
    """Keep what a view of the walk has shown, and go on to the next one; at the end of a run.

    Args:
        page: Stem of the page that was shown.
        view: What an audience sees of it.
    """
    walk: _Walk | None = st.session_state.get(_WALK)
    if walk is None:
        return
    number = len(walk.slides)
    saved = walk.views[number]
    if page != saved.page or selection.recall(view_list.AT) != str(number):
        _open_next(walk)  # something else was opened meanwhile
    walk.slides.append(Slide(saved.name or saved.label, view, saved.note))
    if len(walk.slides) < len(walk.views):
        _open_next(walk)
    st.session_state[_MADE] = walk.views, walk.slides
    _stop()
    view_list.open_view(walk.page, walk.choices, walk.at)


def _open_next(walk: _Walk) -> None:
    number = len(walk.slides)
    view = walk.views[number]
    view_list.open_view(view.page, view.choices, number)


def _stop() -> None:
    st.session_state.pop(_WALK, None)


def _offer(made: Sequence[Slide]) -> None:
    # asked here: a download runs in a thread that knows no viewer
    shown, spoken = downloads.mode(), language.current()

    def build() -> str:
        with language.use(spoken):
            return build_slides(made, shown)

    st.download_button(
        _("Slides as HTML"),
        data=lambda: build().encode(),
        file_name="slides.html",
        mime="text/html",
        key="slides html",
        on_click="ignore",
        icon=":material/download:",
        width="stretch",
        help=_("One file that opens without a network; its figures can be pointed at."),
    )
    if not browser_images.can_draw_images():
        st.caption(
            _(
                "For slides as PDF this machine lacks a Chromium: open the HTML "
                "file in a browser and print it; each slide is a page."
            )
        )
        return
    st.download_button(
        _("Slides as PDF"),
        data=lambda: browser_images.page_to_pdf(build()),
        file_name="slides.pdf",
        mime="application/pdf",
        key="slides pdf",
        on_click="ignore",
        icon=":material/download:",
        width="stretch",
        help=_("One page for each view; takes some seconds."),
    )
