"""What tells that a file is still the one that was read: the key of every cache of its content."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from analysis.errors import PayloadError
from analysis.language import _

Fingerprint: TypeAlias = tuple[str, int, int]
"""Absolute path with links resolved, size in bytes, mtime in ns."""


def fingerprint_file(path: Path | str) -> Fingerprint:
    """Ask the file system for the path, size and time of a file.

    Raises:
        PayloadError: If there is no such file, or the path cannot be used.
    """
    try:
        resolved = Path(path).resolve()
        state = resolved.stat()
    except OSError as error:
        raise PayloadError(
            _("{path}: cannot be read ({strerror}).").format(
                path=path, strerror=error.strerror or error
            )
        ) from error
    except (ValueError, RuntimeError) as error:  # a NUL byte; links in a circle
        raise PayloadError(
            _("{path}: is not a usable path ({error}).").format(path=path, error=error)
        ) from error
    return str(resolved), state.st_size, state.st_mtime_ns
