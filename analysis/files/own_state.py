"""Folders and small files in which the product keeps its own state, as on a shared disk.

Whoever can write such a folder decides what the dashboard shows and starts. So a folder must be a
real one of this user that not everybody can write, and a file a regular one that is no link.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from analysis.errors import ConfigError
from analysis.files.writing import hold_folder
from analysis.language import _


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
    with hold_folder(path.parent, make=0o777) as above:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path.name, 0o700, dir_fd=above)
        state = os.stat(path.name, dir_fd=above, follow_symlinks=False)
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid():
            raise ConfigError(
                _(
                    "{path}: is a link or belongs to another user, so what is kept "
                    "there could be changed by somebody else. Remove it, or use a "
                    "project dir of your own."
                ).format(path=path)
            )
        if state.st_mode & 0o077:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            folder = os.open(path.name, flags, dir_fd=above)
            try:
                os.fchmod(folder, 0o700)
            finally:
                os.close(folder)


def open_regular(path: Path, folder: int | None = None) -> int:
    """Return a descriptor for reading a regular file; it never waits, and follows no link.

    Args:
        path: The file.
        folder: Descriptor of the folder that a relative path starts from, see `hold_folder`.

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
