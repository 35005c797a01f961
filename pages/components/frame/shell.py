"""Which pages there are, and how each of them starts."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.navigation.page import Page
from streamlit.runtime.scriptrunner import StopException

from analysis.errors import PartAbsentError, PayloadError
from analysis.language import _
from analysis.show.view import View
from pages.components.frame import picker
from pages.components.shared import present, selection
from pages.components.shared.text import plain

ICON = Path(__file__).parents[2] / "icon.svg"
"""A file: an icon by name would be fetched from the web."""

PAGES = (
    "home",
    "overview",
    "layers",
    "outliers",
    "channels",
    "images",
    "interventions",
    "targets",
    "similarity",
    "versions",
    "share",
    "runs",
)
"""Stems of the pages' files; the first is the one that opens. Twelve names have room in one line of
a window of 1440 pixels, with icons they have not."""

SIDEBAR = 320
"""Pixels; what it takes, the navigation lacks."""

_QUIET = """<style>
[data-testid=stMainBlockContainer] { padding: 3.5rem 3rem 3rem; }
[data-testid=stMain] [data-testid=stVerticalBlock] { row-gap: .7rem; }
[data-testid=stMain] h1 { padding: .35rem 0 .65rem; }
[data-testid=stMain] h2 { padding: .4rem 0 .8rem; }
[class*="st-key-head-of-"] { flex-wrap: nowrap; }
.st-key-place { padding-top: 1rem; }
[data-testid=stSidebar] [data-tag] { max-width: 100%; height: auto; }
[data-testid=stSidebar] [data-tag] span { max-width: none; white-space: normal;
  overflow-wrap: anywhere; }
.st-key-provenance td, .st-key-provenance td * { overflow-wrap: anywhere !important; }
[data-testid=stHeader] a:focus-visible { outline: 2px solid currentcolor; outline-offset: -2px; }
</style>"""
"""Without it 150 pixels of nothing stand above every title, a link of the navigation does not show
that it has the focus, picked versions with the same first twenty letters look alike, a table with
the paths of three versions is wider than the page."""

_PRESENTED = """<style>
.stApp:has(.st-key-presented) [data-testid=stHeader],
.stApp:has(.st-key-presented) [data-testid=stSidebar],
.stApp:has(.st-key-presented) [data-testid=stMain],
.stApp:has(.st-key-presented) [data-testid=stMain] *:not(.st-key-presented, .st-key-presented *,
  .st-key-steps, .st-key-steps *) { visibility: hidden !important; }
.stApp:has(.st-key-presented) [data-testid=stMain] { overflow: hidden; }
.stApp:has(.st-key-presented) .st-key-steps { visibility: visible; position: fixed;
  bottom: .3rem; left: 2.5vw; right: 2.5vw; width: auto; z-index: 2; }
.st-key-presented { visibility: visible; position: fixed; inset: 1.2vh 2.5vw 3.5rem 2.5vw;
  width: auto; height: auto; z-index: 1; gap: .5rem; flex-wrap: nowrap; }
.st-key-presented h2 { font-size: 2.1rem; line-height: 1.2; padding: 0; }
.st-key-presented [data-testid=stMarkdown] p { font-size: 28px; line-height: 1.25; }
.st-key-presented [data-testid=stCaptionContainer] p { font-size: 22px; }
</style>"""
"""Without it an audience sees all of a page. Only for an audience: the browser tries a rule of
`:has()` and `*` on every element, each time that a figure asks for its size."""

_FRAMED = "framed"
_VISITED = "visited"
_modules = 0
"""How many modules had been imported when they were last exempted from collections."""


def navigate() -> Page:
    """Show the list of pages and return the one that is asked for; for app.py only."""
    _exempt_imports()
    page = _declare_pages()
    st.set_page_config(page_title=_("{title} · DINOv3 feature statistics").format(title=page.title))
    st.session_state[_FRAMED] = True
    _follow_old_link(page)
    return page


def name_page(page: Page) -> str:
    """Return the stem of a page's file."""
    return page.url_path or PAGES[0]


def run(page: Page) -> View | None:
    """Run a page; where it needs what a payload does not hold, say so in its place.

    Returns:
        What an audience sees of the page; None where it has no figure.
    """
    present.start_page()
    try:
        page.run()
    except PartAbsentError as absent:
        st.info(plain(str(absent)), icon=":material/info:")
    except PayloadError as error:
        st.error(plain(picker.explain_picked(error)), icon=":material/error:")
    except StopException:  # of a page that ends early
        pass
    return present.end_page()


def open_page(title: str) -> DeltaGenerator:
    """Start a page with its title, inside the frame of app.py.

    Until app.py has run once, a server takes every file in pages/ for a page of its own and runs
    it bare when its address is the first to be opened, as after a restart. Declaring the pages
    ends that; the rerun then comes through app.py.

    Returns:
        The place of the title, for a page whose title says more once its payloads are read.
    """
    if not st.session_state.pop(_FRAMED, False):
        _declare_pages()
        st.rerun()
    st.html(_QUIET + _PRESENTED if present.is_on() else _QUIET)
    heading = st.empty()
    heading.title(title, anchor=False)
    return heading


def _follow_old_link(page: Page) -> None:
    """Open Overview where the address a visitor came with names a version and no page.

    Such links were made when Overview was the first page. Home names its baseline in every link.
    """
    if st.session_state.get(_VISITED):
        return
    st.session_state[_VISITED] = True
    asked = selection.all_choices()
    if page.url_path == "" and "version" in asked and "base" not in asked:
        st.switch_page("pages/overview.py")


def _exempt_imports() -> None:
    """Keep imported modules out of garbage collections.

    Streamlit collects garbage after every run, and walking the modules, which nothing ever frees,
    takes twice as long as drawing a page.
    """
    global _modules
    if len(sys.modules) > _modules:
        _modules = len(sys.modules)
        gc.freeze()


def _declare_pages() -> Page:
    st.set_page_config(
        page_title=_("DINOv3 feature statistics"),
        page_icon=str(ICON),
        layout="wide",
        initial_sidebar_state="collapsed" if present.is_on() else SIDEBAR,
    )
    return st.navigation(
        [
            st.Page(f"pages/{stem}.py", title=_(stem.capitalize()), default=stem == PAGES[0])
            for stem in PAGES
        ],
        position="top",
    )
