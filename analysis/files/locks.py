"""File locks that tell whether a process lives, whatever became of its process id.

An advisory `flock` belongs to the open file, not to a process: it passes to children that inherit
the descriptor and is released by the system when the last of them ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from analysis.files.own_state import open_regular
from analysis.files.writing import hold_folder, open_any


def acquire_lock(path: Path, *, wait: bool) -> int | None:
    """Lock the file, made where it is missing, and return the descriptor that holds the lock.

    Args:
        path: Lock file; its folder must exist. It is never deleted, since another process may
            already wait on the same file.
        wait: Whether to wait for the present holder; otherwise None is returned at once.
    """
    with hold_folder(path.parent) as folder:
        descriptor = open_any(folder, path.name, os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Return whether a living process holds the lock. Asking never blocks nor takes it away."""
    try:
        descriptor = open_regular(path)
    except (OSError, ValueError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock for the length of a block, waiting for it first."""
    descriptor = acquire_lock(path, wait=True)
    assert descriptor is not None
    try:
        yield
    finally:
        os.close(descriptor)
