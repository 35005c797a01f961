"""SHA-256 of files, which may be computed in the background while other things start.

A digest takes a second for each two gigabytes, which nobody waits for if it is begun early.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from analysis.errors import ImageError
from analysis.files.isolated import isolated
from analysis.files.own_state import open_regular
from analysis.language import _

_CHUNK = 8 * 2**20  # large, since Python's lock is asked for between two

_begun: dict[Path, Future[str]] = {}


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes, as 64 hexadecimal digits, or wait for a begun one."""
    begun = _begun.pop(path, None)
    return _digest(path) if begun is None else begun.result()


@isolated("digest")
def digest_picture(path: str) -> str:
    """Compute the SHA-256 of a picture that a stranger may have left.

    Raises:
        ImageError: If it cannot be read, or is a pipe or a device.
    """
    try:
        with os.fdopen(open_regular(Path(path).resolve()), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImageError(
            _("{path}: cannot be read ({strerror}).").format(
                path=path, strerror=error.strerror or error
            )
        ) from error


def begin_sha256(path: Path) -> None:
    """Begin to compute a file's SHA-256; the next `sha256_of` the same path returns it."""
    _begun[path] = in_background(partial(_digest, path))


def in_background(digest: Callable[[], str]) -> Future[str]:
    """Compute a digest in a thread that does not keep the process alive."""
    future = Future[str]()
    threading.Thread(target=_fulfil, args=(future, digest), daemon=True).start()
    return future


def _fulfil(future: Future[str], digest: Callable[[], str]) -> None:
    try:
        future.set_result(digest())
    except Exception as error:
        future.set_exception(error)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    part = memoryview(bytearray(_CHUNK))
    # not mapped: each page would be a fault, and imports wait for those of other threads
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(part):
            digest.update(part[:size])
    return digest.hexdigest()
