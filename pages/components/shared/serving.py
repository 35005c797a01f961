"""What a server starts before it draws its first page, and a little later."""

from __future__ import annotations

import tempfile
import threading
import time
from functools import cache
from pathlib import Path

from streamlit import runtime

from analysis.files.cache_folder import cache_folder
from analysis.files.read_only import is_read_only
from analysis.files.roots import allowed_roots
from analysis.files.writing import confine_writes
from analysis.jobs.background import queues_folder
from analysis.jobs.reader import start_reader

AHEAD_SECONDS = 10
"""Before each thing that is prepared after the first page was asked for, which needs none yet."""


def start() -> None:
    """Prepare this process to serve strangers, where a server runs this, not a test."""
    # A stand-in of tests passes for an instance of the class, but is of another type.
    if runtime.exists() and type(runtime.get_instance()) is runtime.Runtime:
        _confine()
        start_reader(early=_is_cache_empty())
        _prepare_ahead()


@cache
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


@cache
def _confine() -> None:
    """Let the server and all that it starts write below the roots and in folders of their own."""
    temporary = Path(tempfile.gettempdir())
    confine_writes([*allowed_roots(), cache_folder(), queues_folder(), temporary])
