"""What a server starts before it draws its first page."""

from __future__ import annotations

from streamlit import runtime

from analysis.jobs.reader import start_reader


def start() -> None:
    """Start the process that reads files of strangers, where a server runs this, not a test."""
    if runtime.exists() and isinstance(runtime.get_instance(), runtime.Runtime):
        start_reader()
