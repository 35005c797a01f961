"""Which folders may be read, and the payload files in them.

Paths come from browsers. Each is resolved, symlinks included, and must then lie below an allowed
root: the project dir, or what the environment variable `DASHBOARD_ROOTS` adds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from analysis.errors import ConfigError
from analysis.language import _

ROOTS_ENV = "DASHBOARD_ROOTS"
"""Folders besides the project dir that may be read, separated as in PATH."""


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
        raise ConfigError(
            _("{path!r} is not a usable path ({error}).").format(path=str(path)[:200], error=error)
        ) from error
    if not is_below(resolved, roots):
        places = ", ".join(map(str, roots))
        raise ConfigError(
            _(
                "{path}: lies outside the folders that this dashboard may read "
                "({places}). Choose a path below them, or start the dashboard with "
                "{roots_env} naming more."
            ).format(path=path, places=places, roots_env=ROOTS_ENV)
        )
    return resolved


def is_below(path: Path, roots: Sequence[Path]) -> bool:
    """Return whether a resolved path lies below one of the roots."""
    return any(path.is_relative_to(root) for root in roots)
