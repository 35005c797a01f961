"""Find the payload files below the allowed roots, breadth first and within limits."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from analysis.errors import to_printable
from analysis.files.roots import ROOTS_ENV, is_below
from analysis.language import _
from analysis.vocabulary import FEATURE_STATS_DIR

MAX_DEPTH = 8
"""Folders below a root that are entered."""
MAX_FOLDERS = 20_000
SKIPPED_FOLDERS = frozenset({"data", "node_modules", "__pycache__", "site-packages"})
"""Folders that hold no payloads but many files; so do all whose name starts with a dot."""


def find_payload_files(roots: Sequence[Path], notices: list[str]) -> Iterator[Path]:
    """Yield the payload files below the roots, breadth first, so that limits cut the deepest.

    Args:
        roots: As from `allowed_roots`.
        notices: Takes a sentence for each limit reached and each link that leads outside.
    """
    queue = deque((root, 0) for root in roots)
    seen: set[Path] = set()
    while queue:
        folder, depth = queue.popleft()
        if folder in seen:
            continue
        seen.add(folder)
        if len(seen) > MAX_FOLDERS:
            notices.append(
                _("Stopped looking for payloads after {max_folders} folders.").format(
                    max_folders=MAX_FOLDERS
                )
            )
            return
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # not there, or not ours to read
            continue
        for entry in entries:
            if _is_payload(entry, folder):
                yield from _inside(entry, roots, notices)
            elif depth < MAX_DEPTH and _is_entered(entry):
                queue.extend((target, depth + 1) for target in _inside(entry, roots, notices))


def _is_payload(entry: os.DirEntry[str], folder: Path) -> bool:
    try:
        return (
            folder.name == FEATURE_STATS_DIR
            and entry.name.endswith(".pt")
            and not entry.name.startswith(".")
            and entry.is_file()
        )
    except OSError:
        return False


def _is_entered(entry: os.DirEntry[str]) -> bool:
    try:
        hidden = entry.name.startswith(".") or entry.name in SKIPPED_FOLDERS
        return not hidden and entry.is_dir()
    except OSError:
        return False


def _inside(entry: os.DirEntry[str], roots: Sequence[Path], notices: list[str]) -> Iterator[Path]:
    """Yield the entry's resolved path, or a notice where a link leads out of the roots."""
    path = Path(entry.path)
    if entry.is_symlink():
        try:
            path = path.resolve(strict=True)
        except (OSError, RuntimeError):
            return
        if not is_below(path, roots):
            notice = _(
                "{path} links to a place outside the folders that this dashboard "
                "may read; add {path_2} to {roots_env} to see its payloads."
            ).format(path=entry.path, path_2=path, roots_env=ROOTS_ENV)
            notices.append(to_printable(notice))
            return
    yield path
