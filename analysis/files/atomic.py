"""Ask what stands at a path; write a file so that readers never see a part of it."""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import glob
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from analysis.files.own_state import open_regular, read_small
from analysis.files.writing import create_file, hold_folder, make_folder

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
    with hold_folder(path.parent) as folder:
        _remove_abandoned(folder, path.name)
        temporary = f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp"
        try:
            with _open_locked(folder, temporary) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                if backup:
                    _keep(folder, path.name)
                os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # torch.save hides the system's own words
                raise error.__context__ from error
            raise
        finally:
            _remove(folder, temporary)
        os.fsync(folder)


def remove_abandoned(path: Path) -> None:
    """Remove temporary files of `path` whose writer was killed; its lock tells one who writes."""
    with suppress(OSError), hold_folder(path.parent) as folder:
        _remove_abandoned(folder, path.name)


def keep_backup(path: Path) -> None:
    """Let `<name>.bak` be what stands at `path`, if anything does; it stays in place.

    Raises:
        OSError: As the operating system says.
    """
    with hold_folder(path.parent) as folder:
        _keep(folder, path.name)


def _remove_abandoned(folder: int, name: str) -> None:
    for other in fnmatch.filter(os.listdir(folder), f".{glob.escape(name)}.*.tmp"):
        with suppress(OSError):
            descriptor = open_regular(Path(other), folder)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(other, dir_fd=folder)
            finally:
                os.close(descriptor)


def replace_text(path: Path, text: str) -> None:
    """Put a short text in the place of `path`, so that readers see the old one or the new one.

    Not flushed to disk. Where a full disk has no room for a second file, the text is written over
    the old one, which takes no more room as long as it stays within a block (4 KB).

    Raises:
        OSError: If neither can be done.
    """
    with hold_folder(path.parent) as folder:
        temporary = f".{path.name}.{os.getpid()}.tmp"
        try:
            with create_file(folder, temporary) as file:
                file.write(text.encode())
            os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            _remove(folder, temporary)
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(path.name, flags, dir_fd=folder)
            with os.fdopen(descriptor, "r+b") as file:  # padded: a reader may look before it is cut
                file.write(text.encode().ljust(os.fstat(file.fileno()).st_size))


def replace_bytes(path: Path, content: bytes) -> None:
    """Put bytes in the place of `path`, complete or not at all; make its folder if missing.

    Raises:
        OSError: As `replace_file`.
    """
    make_folder(path.parent, 0o700)
    with replace_file(path) as file:
        file.write(content)


def _open_locked(folder: int, name: str) -> BinaryIO:
    while True:
        file = create_file(folder, name)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # taken for abandoned after it was made and before it was locked


def _keep(folder: int, name: str) -> None:
    """Let `<name>.bak` be what stands there under `name`, which stays in place."""
    link = f".{name}.bak.{os.getpid()}.tmp"
    _remove(folder, link)
    try:
        os.link(name, link, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError:  # a file system without hard links
        with (
            os.fdopen(open_regular(Path(name), folder), "rb") as source,
            create_file(folder, link) as copy,
        ):
            shutil.copyfileobj(source, copy)
    os.replace(link, f"{name}.bak", src_dir_fd=folder, dst_dir_fd=folder)
    _remove(folder, link)  # a second name of the same file is not renamed: rename(2)


def _remove(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


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
