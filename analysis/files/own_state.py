"""Folders and small files in which the product keeps its own state, as on a shared disk.

Whoever can write such a folder decides what the dashboard shows and starts. So a folder must be a
real one of this user that not everybody can write, and a file a regular one that is no link.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from analysis.errors import ConfigError


def is_own_folder(path: Path) -> bool:
    """Return whether a path is a folder of this user, no link, that not everybody can write."""
    try:
        state = path.lstat()
    except (OSError, ValueError):
        return False
    is_own = stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid()
    return is_own and not state.st_mode & stat.S_IWOTH


def make_own_folder(path: Path) -> None:
    """Make a folder that only this user can read; one of this user that is there is closed.

    Raises:
        ConfigError: If a link, a file or the folder of another user is there.
        OSError: As the operating system says.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        state = path.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid():
            raise ConfigError(
                f"{path}: is a link or belongs to another user, so what is kept there could be "
                "changed by somebody else. Remove it, or use a project dir of your own."
            ) from None
        if state.st_mode & 0o077:
            path.chmod(0o700)


def open_folder(path: Path) -> int:
    """Return a descriptor of a folder, to open what lies in it (`dir_fd`); follows no link at all.

    Args:
        path: Resolved before: where a link has taken the place of a folder since, it is refused.

    Raises:
        OSError: If a part of the path is missing, no folder, or a link.
    """
    flags = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
    descriptor = os.open(path.anchor, flags)
    for part in path.parts[1:]:
        above = descriptor
        try:
            descriptor = os.open(part, flags, dir_fd=above)
        finally:
            os.close(above)
    return descriptor


def open_regular(path: Path, folder: int | None = None) -> int:
    """Return a descriptor for reading a regular file; it never waits, and follows no link.

    Args:
        path: The file.
        folder: Descriptor of the folder that a relative path starts from, see `open_folder`.

    Raises:
        OSError: If there is no such file, or a link, pipe, device or folder.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path}: not a regular file")
    return descriptor


def read_small(path: Path, most: int) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: As `open_regular`, or if the file holds more than `most` bytes.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(f"{path}: more than {most} bytes")
    return content
