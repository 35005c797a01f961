"""The look for an audience: one figure, its versions and one sentence; in the address as a choice.

The page runs as ever, so that all its choices hold, and one style hides all but that figure. A page
without figures is shown as it is, without the sidebar.
"""

from __future__ import annotations

import streamlit as st

from analysis.language import _
from analysis.show.view import View
from pages.components.shared import selection
from pages.components.shared.text import plain

FONT_SIZE = 20
"""Pixels, for the last row of a hall."""

FIGURE = "figure"
"""Choice: name of the figure that an audience is shown; the first of the page where none."""

PLACE = "presented"
"""Key of what an audience sees, known to the style of the frame."""

_NAME = "present"
_PAGE = "page of the figures"
_DRAWN = "figures of the page"
_DRAWING = "figures of this run"
_TAKEN = "figure of the page"


def is_on() -> bool:
    """Return whether the page is shown to an audience."""
    return selection.recall(_NAME) == "on"


def show_switch() -> None:
    """Show the button that begins to present, at the end of the sidebar, or ends it.

    A button, since no key steps on while the focus is in a toggle, which is where it stays.
    """
    if is_on():
        st.button(_("End presenting"), icon=":material/close:", width="stretch", on_click=end)
        return
    st.button(
        _("Present"),
        icon=":material/slideshow:",
        key="present",
        width="stretch",
        on_click=_begin,
        help=_("One figure in large type, with its versions and one sentence, and nothing else."),
    )


def offer(name: str) -> None:
    """Show the button that presents one figure of the page."""
    st.button(
        "",
        icon=":material/slideshow:",
        type="tertiary",
        key=f"present {name}",
        on_click=_begin,
        args=(name,),
        help=_("Present this figure"),
    )


def end() -> None:
    """Show the page as it was before, from the next run on."""
    selection.remember(_NAME, None)


def follow(page: str) -> None:
    """Forget which figures another page had.

    Args:
        page: Stem of the page's file.
    """
    state = st.session_state
    if state.get(_PAGE, page) != page:
        state.pop(_DRAWN, None)
    state[_PAGE] = page


def list_figures() -> list[str]:
    """Return the names of the figures that the page had when it was last drawn to its end."""
    return st.session_state.get(_DRAWN, [])


def asks_for(figure: str) -> bool:
    """Return whether an audience is to see this figure, by its name."""
    return is_on() and selection.recall(FIGURE) == figure


def start_page() -> None:
    """Begin to list the figures of a page."""
    st.session_state[_DRAWING] = []
    st.session_state.pop(_TAKEN, None)


def take(view: View) -> bool:
    """Return whether a figure of the page is the one for the audience; it counts as drawn."""
    drawn: list[str] = st.session_state.setdefault(_DRAWING, [])
    if view.name not in drawn:
        drawn.append(view.name)
    if view.name != (selection.recall(FIGURE) or drawn[0]):
        return False
    st.session_state[_TAKEN] = view
    return True


def end_page() -> View | None:
    """Return what the audience sees of the page; None where it has no figure.

    Where the figure that was asked for has not been drawn, the page is run again with the first.
    """
    drawn = st.session_state[_DRAWN] = st.session_state.get(_DRAWING, [])
    if drawn and selection.recall(FIGURE) not in (None, *drawn):
        selection.remember(FIGURE, None)
        st.rerun()
    return st.session_state.pop(_TAKEN, None)


def show_words(view: View) -> None:
    """Show the versions, the title and the sentence of a figure, in this order."""
    if view.about:
        st.caption(plain(view.about))
    st.header(plain(view.title), anchor=False)
    if view.words:
        st.markdown(plain(view.words))


def enlarge(view: View) -> None:
    """Give a figure the type that the last row can read, and the height of its place, in place."""
    figure = view.figure
    assert figure is not None
    figure.layout.height = None
    figure.update_layout(font_size=FONT_SIZE, hoverlabel_font_size=FONT_SIZE)
    figure.update_annotations(font_size=FONT_SIZE)
    # three labels in each decade have no room side by side in large type
    figure.update_xaxes(tickangle=-45, selector={"dtick": "D2"})


def _begin(figure: str | None = None) -> None:
    selection.remember(_NAME, "on")
    if figure is not None:
        selection.remember(FIGURE, figure)
