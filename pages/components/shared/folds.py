"""A figure behind a line that opens it, computed and sent only while it is open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pages.components.shared import present, selection


@contextmanager
def fold(title: str, figure: str) -> Iterator[bool]:
    """Put a figure behind a line; yield whether it is open, in the link too, and to be drawn.

    Args:
        title: Of the line.
        figure: Name of the view, which opens the line where an audience is to see it.
    """
    choice = f"open_{figure.replace(' ', '_')}"
    if present.asks_for(figure):
        selection.remember(choice, "on")
    with selection.unfold(choice, title) as is_open:
        yield is_open
