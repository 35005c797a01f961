"""Text from files and file names, as it may be shown on one line."""

from __future__ import annotations


def to_printable(text: str) -> str:
    """Escape what is not printable: line ends, half surrogate pairs, marks that turn the order."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
