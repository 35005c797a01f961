"""Ask what stands at a path; write a file so that readers never see a part of it."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from analysis.files.own_state import read_small

MAX_JSON = 2**20
"""Bytes of a small JSON file: a job, its progress."""


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder; False also where it is not ours to know."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_regular(path: Path) -> bool:
    """Tell whether there is a regular file, links followed; False also where it cannot be told.

    Pipes and devices are none: whoever opens them may wait for ever.
    """
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


@contextmanager
def replace_file(path: Path, *, backup: bool = False) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the place of `path` when the block ends without an error.

    Written beside it, flushed to disk and renamed; on an error the temporary file is removed and
    what stood at `path` is untouched. What an earlier writer left that was killed is removed.

    Args:
        path: The file to write.
        backup: Whether what stood at `path` is kept beside it as `<name>.bak`.

    Raises:
        OSError: As the operating system says, e.g. when the disk is full.
    """
    remove_abandoned(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with _open_locked(temporary) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if backup:
                _keep(path)
            temporary.replace(path)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch.save hides the system's own words
            raise error.__context__ from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_abandoned(path: Path) -> None:
    """Remove temporary files of `path` whose writer was killed; its lock tells one who writes."""
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError):
            descriptor = os.open(temporary, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                temporary.unlink()
            finally:
                os.close(descriptor)


def replace_text(path: Path, text: str) -> None:
    """Put a short text in the place of `path`, so that readers see the old one or the new one.

    Not flushed to disk. Where a full disk has no room for a second file, the text is written over
    the old one, which takes no more room as long as it stays within a block (4 KB).

    Raises:
        OSError: If neither can be done.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _create(temporary) as file:
            file.write(text.encode())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "r+b") as file:  # padded: a reader may look before it is cut
            file.write(text.encode().ljust(os.fstat(file.fileno()).st_size))


def _create(path: Path) -> BinaryIO:
    """Open a new file for writing; what stood there is removed, and a link is not followed."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o666), "wb")


def _open_locked(path: Path) -> BinaryIO:
    while True:
        file = _create(path)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # taken for abandoned after it was made and before it was locked


def _keep(path: Path) -> None:
    """Let `<name>.bak` be what stands at `path`, which stays in place."""
    backup = path.with_name(f"{path.name}.bak")
    link = path.with_name(f".{backup.name}.{os.getpid()}.tmp")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except FileNotFoundError:
        return
    except OSError:  # a file system without hard links
        shutil.copy2(path, link)
    link.replace(backup)
    link.unlink(missing_ok=True)  # a second name of the same file is not renamed: rename(2)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a small regular file, None where it cannot be read (yet)."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        value = json.loads(read_small(path, MAX_JSON))
        return value if isinstance(value, dict) else None
    return None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object so that a reader sees the old file or the new one, never a part.

    Raises:
        OSError: If it cannot be written.
    """
    replace_text(path, json.dumps(value, indent=1))
