"""Print nothing that a terminal would obey: libraries warn with names that strangers chose."""

from __future__ import annotations

import re
import sys
from typing import Any, TextIO

from analysis.errors import to_printable

_KEPT = re.compile(r"([\n\r\t]+)")
"""Line ends, what a progress bar goes back with, and what tables are printed with."""


class _PlainStream:
    """A text stream whose control characters are escaped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        parts = _KEPT.split(text)
        parts[::2] = map(to_printable, parts[::2])
        self._stream.write("".join(parts))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def print_plainly() -> None:
    """Escape control characters in the warnings and errors that this process prints to a file.

    What it prints to a terminal is left as it is: progress bars move its cursor.
    """
    if not sys.stderr.isatty():
        sys.stderr = _PlainStream(sys.stderr)
