"""Ask what stands at a path; write a file so that readers never see a part of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


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
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the place of `path` when the block ends without an error.

    Written beside it, flushed to disk and renamed; on an error the temporary file is removed and
    what stood at `path` is untouched.

    Raises:
        OSError: As the operating system says, e.g. when the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
