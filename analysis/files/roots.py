"""Which folders may be read, and the payload files in them.

Paths come from browsers. Each is resolved, symlinks included, and must then lie below an allowed
root: the project dir, or what the environment variable `DASHBOARD_ROOTS` adds.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from analysis.errors import ConfigError
from analysis.printable import to_printable
from analysis.vocabulary import FEATURE_STATS_DIR

ROOTS_ENV = "DASHBOARD_ROOTS"
"""Folders besides the project dir that may be read, separated as in PATH."""

MAX_DEPTH = 8
"""Folders below a root that are entered."""

MAX_FOLDERS = 20_000
SKIPPED_FOLDERS = frozenset({"data", "node_modules", "__pycache__", "site-packages"})
"""Folders that hold no payloads but many files; so do all whose name starts with a dot."""


def allowed_roots(project_dir: Path | None = None) -> tuple[Path, ...]:
    """Return the folders that the dashboard may read, resolved; they need not exist.

    Args:
        project_dir: Comes first; the current folder where None.
    """
    added = [entry for entry in os.environ.get(ROOTS_ENV, "").split(os.pathsep) if entry.strip()]
    roots = [project_dir or Path.cwd(), *(Path(entry.strip()).expanduser() for entry in added)]
    return tuple(dict.fromkeys(root.resolve() for root in roots))


def resolve_below_roots(path: str | Path, roots: Sequence[Path] | None = None) -> Path:
    """Resolve a typed path, symlinks included, and refuse it outside the allowed roots.

    Args:
        path: Absolute, or relative to the current folder; need not exist.
        roots: As from `allowed_roots`, which None stands for.

    Raises:
        ConfigError: If the path leads outside every root, or is no path at all.
    """
    roots = allowed_roots() if roots is None else roots
    try:
        resolved = Path(path).expanduser().resolve()
        # A name that no file can have fails wherever it is used; here it is still a sentence.
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            resolved.lstat()
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{str(path)[:200]!r} is not a usable path ({error}).") from error
    if not _is_below(resolved, roots):
        places = ", ".join(map(str, roots))
        raise ConfigError(
            f"{path}: lies outside the folders that this dashboard may read ({places}). "
            f"Choose a path below them, or start the dashboard with {ROOTS_ENV} naming more."
        )
    return resolved


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
            notices.append(f"Stopped looking for payloads after {MAX_FOLDERS} folders.")
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
        if not _is_below(path, roots):
            notice = (
                f"{entry.path} links to a place outside the folders that this dashboard may read; "
                f"add {path} to {ROOTS_ENV} to see its payloads."
            )
            notices.append(to_printable(notice))
            return
    yield path


def _is_below(path: Path, roots: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)
