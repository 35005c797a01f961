"""What a server starts before it draws its first page, and a little later."""

from __future__ import annotations

import tempfile
import threading
from functools import cache
from pathlib import Path

from streamlit import runtime

from analysis.files.cache_folder import cache_folder
from analysis.files.roots import allowed_roots
from analysis.files.writing import confine_writes
from analysis.jobs.extractions.queue import queues_folder
from analysis.jobs.reader import start_reader

AHEAD_SECONDS = 10
"""After the first page was asked for: its own imports come before those of other pages."""


def start() -> None:
    """Prepare this process to serve strangers, where a server runs this, not a test."""
    # A stand-in of tests passes for an instance of the class, but is of another type.
    if runtime.exists() and type(runtime.get_instance()) is runtime.Runtime:
        _confine()
        start_reader()
        _import_ahead()


@cache
def _import_ahead() -> None:
    """Import what Targets needs while people look at their first page, once in a server."""
    timer = threading.Timer(AHEAD_SECONDS, _import)
    timer.daemon = True
    timer.start()


def _import() -> None:
    from analysis.read.worth.problem import load_splitters

    load_splitters()


@cache
def _confine() -> None:
    """Let the server and all that it starts write below the roots and in folders of their own."""
    temporary = Path(tempfile.gettempdir())
    confine_writes([*allowed_roots(), cache_folder(), queues_folder(), temporary])
