"""Write in folders that are held open, so that no link leads elsewhere what is written.

A path is resolved once. Each of its folders is then opened in the one above it, links refused, and
what is written is named within the last one: a link that takes the place of a folder meanwhile is
an error. Every file that the product writes is opened here.

A server also names the folders that it and the processes it starts may write below
(`confine_writes`); the command line writes where its user says.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from analysis.files.roots import is_below

WRITE_ROOTS_ENV = "DASHBOARD_WRITE_ROOTS"
"""Folders that may be written below, separated as in PATH; set by a server, for its processes."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_ANY = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
"""With these no link is followed and no pipe waited for."""


def confine_writes(folders: Sequence[Path]) -> None:
    """Let this process, and those that it starts, write below these folders only."""
    os.environ[WRITE_ROOTS_ENV] = os.pathsep.join(str(folder.resolve()) for folder in folders)


@contextlib.contextmanager
def hold_folder(path: Path, *, make: int | None = None) -> Iterator[int]:
    """Yield a descriptor of a folder, to write in it (`dir_fd`).

    Args:
        path: The folder; links in it are followed once, now.
        make: Mode of the folders that are made where they are missing; None to make none.

    Raises:
        OSError: If it is missing or no folder, lies outside the folders that may be written, or a
            link has taken the place of a folder since the path was resolved.
    """
    folder = path.resolve()
    _refuse_outside(folder)
    descriptor = open_folder(folder, make=make)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_folder(path: Path, *, make: int | None = None) -> int:
    """Return a descriptor of a folder; follows no link at all.

    Args:
        path: Resolved before.
        make: As for `hold_folder`.

    Raises:
        OSError: If a part of the path is missing, no folder, or a link.
    """
    flags = os.O_DIRECTORY | os.O_NOFOLLOW
    above = getattr(os, "O_PATH", os.O_RDONLY)  # a folder above need not be readable
    descriptor = os.open(path.anchor, flags | above)
    parts = path.parts[1:]
    for number, part in enumerate(parts, start=1):
        parent = descriptor
        kind = flags | (os.O_RDONLY if number == len(parts) else above)
        try:
            try:
                descriptor = os.open(part, kind, dir_fd=parent)
            except FileNotFoundError:
                if make is None:
                    raise
                with contextlib.suppress(FileExistsError):  # another process is as quick
                    os.mkdir(part, make, dir_fd=parent)
                descriptor = os.open(part, kind, dir_fd=parent)
        finally:
            os.close(parent)
    return descriptor


def make_folder(path: Path, mode: int = 0o777, *, exist_ok: bool = True) -> None:
    """Make a folder and those above it, where they are missing.

    Raises:
        OSError: As `hold_folder`, or if it is there and must not be.
    """
    if exist_ok:
        with hold_folder(path, make=mode):
            return
    with hold_folder(path.parent) as above:
        os.mkdir(path.name, mode, dir_fd=above)


def create_file(folder: int, name: str) -> BinaryIO:
    """Open a new file in a folder that is held; what stood there is removed, never written to.

    Raises:
        OSError: As the operating system says.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    return os.fdopen(os.open(name, _NEW, 0o666, dir_fd=folder), "wb")


def open_log(path: Path, *, append: bool = False) -> BinaryIO:
    """Open a log to write at its end: a new file, or the one that is there.

    Raises:
        OSError: As `hold_folder`, or if there is something else than a regular file.
    """
    with hold_folder(path.parent) as folder:
        if not append:
            return create_file(folder, path.name)
        descriptor = open_any(folder, path.name, os.O_WRONLY | os.O_APPEND)
    return os.fdopen(descriptor, "ab")


def touch_file(path: Path) -> None:
    """Make an empty file where there is none, and give it the time of now.

    Raises:
        OSError: As `open_log`.
    """
    with hold_folder(path.parent) as folder:
        descriptor = open_any(folder, path.name, os.O_WRONLY)
        try:
            os.utime(descriptor)
        finally:
            os.close(descriptor)


def remove_file(path: Path) -> None:
    """Remove a file or link, if it is there.

    Raises:
        OSError: As `hold_folder`, or if it is a folder or cannot be removed.
    """
    with contextlib.suppress(FileNotFoundError), hold_folder(path.parent) as folder:
        os.unlink(path.name, dir_fd=folder)


def link_file(path: Path, target: Path) -> None:
    """Make a link to a target; the folders above the link are as for `hold_folder`.

    Raises:
        OSError: As `hold_folder`, or if something is there already.
    """
    with hold_folder(path.parent) as folder:
        os.symlink(target, path.name, dir_fd=folder)


def open_any(folder: int, name: str, flags: int, mode: int = 0o666) -> int:
    """Return a descriptor of a regular file in a folder that is held, made where it is missing.

    Raises:
        OSError: If there is a link, pipe, device or folder.
    """
    descriptor = os.open(name, flags | _ANY, mode, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor


def _refuse_outside(folder: Path) -> None:
    named = os.environ.get(WRITE_ROOTS_ENV)
    if named and not is_below(folder, [Path(root) for root in named.split(os.pathsep)]):
        raise PermissionError(
            errno.EACCES, "outside the folders that this dashboard may write", str(folder)
        )
