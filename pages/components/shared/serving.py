"""What a server starts before it draws its first page."""

from __future__ import annotations

from streamlit import runtime

from analysis.jobs.reader import start_reader


def start() -> None:
    """Start the process that reads files of strangers, where a server runs this, not a test."""
    # A stand-in of tests passes for an instance of the class, but is of another type.
    if runtime.exists() and type(runtime.get_instance()) is runtime.Runtime:
        start_reader()
