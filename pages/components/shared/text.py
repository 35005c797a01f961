"""Words and numbers for the screen."""

from __future__ import annotations

import re
from pathlib import Path

from analysis.language import _

_MARKDOWN = frozenset(r"\`*_{}[]()<>#+-.!|~:$")

_ADDRESS = re.compile(r"(?i)(?<=http:)(?=//)|(?<=https:)(?=//)|(?<=www)(?=\.)|(?<=@)(?=[\w-])")
"""Where an address must be cut: Markdown makes links of bare ones, backslashes or not."""
_CUT = "\u200b"
"""A space of no width."""


def plain(text: str) -> str:
    """Return text from a file or a form so that Markdown shows it as it is, and nothing more."""
    return "".join(f"\\{char}" if char in _MARKDOWN else char for char in _ADDRESS.sub(_CUT, text))


def format_duration(seconds: float) -> str:
    """Return a duration as people say it: 40 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return _("{seconds} s").format(seconds=max(1, round(seconds)))
    minutes = round(seconds / 60)
    return (
        _("{minutes} min").format(minutes=minutes)
        if minutes < 90
        else _("{minutes} h {minutes_2:02d} min").format(
            minutes=minutes // 60, minutes_2=minutes % 60
        )
    )


def shorten_path(path: Path, folder: Path) -> str:
    """Return a path as people say it: relative to a folder that it lies in."""
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def format_bytes(count: float) -> str:
    """Return a size as people say it: 812 B, 3.4 MB, 120 GB."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = 0
    while count >= 999.5 and power < len(units) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.0f} B" if power == 0 else f"{count:.3g} {units[power]}"
