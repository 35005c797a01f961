"""What a server prepares before its first page is asked for, and a little later."""

from __future__ import annotations

import importlib
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import streamlit as st
from streamlit import runtime

from analysis.files.cache_folder import cache_folder
from analysis.files.read_only import is_read_only
from analysis.files.roots import allowed_roots
from analysis.files.writing import confine_writes
from analysis.jobs.background import queues_folder
from analysis.jobs.reader import end_readers, start_reader
from analysis.show.figures import theme
from pages.components.shared.cache import remove_uploads

COMPONENTS = Path(__file__).parents[1]

AHEAD_SECONDS = 10
"""Before each thing that is prepared after the first page was asked for, which needs none yet."""


@asynccontextmanager
async def prepare(app: st.App) -> AsyncIterator[None]:
    """Prepare a server while it and the browser of its first visitor start; tidy up at its end.

    A signal ends the process without what Python does at an exit, as removing temporary folders.
    """
    del app
    _confine()
    # Else a reader, which imports torch, would take time from the first page.
    start_reader(early=_is_cache_empty())
    threading.Thread(target=_import_pages, name="imports", daemon=True).start()
    yield
    end_readers()
    remove_uploads()


def go_on() -> None:
    """Prepare the rest, now that somebody looks at a page of a server; for app.py only."""
    # A stand-in of tests passes for an instance of the class, but is of another type.
    if runtime.exists() and type(runtime.get_instance()) is runtime.Runtime:
        _prepare_ahead()


def _import_pages() -> None:
    """Import all that pages are made of, and what comes with the first figure and table."""
    for path in sorted(COMPONENTS.glob("*/*.py")):
        importlib.import_module(f"pages.components.{path.parent.name}.{path.stem}")
    traces = [{"type": kind} for kind in ("scatter", "scattergl", "bar", "heatmap")]
    theme.make_figure(traces, {}, "light").to_json()
    importlib.import_module("pandas.io.formats.style")


def _is_cache_empty() -> bool:
    """Return whether the first page will need torch, as far as can be told when a server starts."""
    return not any(cache_folder().glob("*.npz"))


@cache
def _prepare_ahead() -> None:
    """Prepare what later pages need while people look at their first one, once in a server."""
    threading.Thread(target=_prepare, name="ahead", daemon=True).start()


def _prepare() -> None:
    for prepare in (start_reader, _import_splitters, _prepare_standby):
        time.sleep(AHEAD_SECONDS)
        prepare()


def _import_splitters() -> None:
    from analysis.read.worth.problem import load_splitters  # a second, for Targets alone

    load_splitters()


def _prepare_standby() -> None:
    from analysis.jobs.extractions import prepare_standby

    if not is_read_only():
        prepare_standby()


def _confine() -> None:
    """Let the server and all that it starts write below the roots and in folders of their own."""
    temporary = Path(tempfile.gettempdir())
    confine_writes([*allowed_roots(), cache_folder(), queues_folder(), temporary])
