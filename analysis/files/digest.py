"""SHA-256 of files, which may be computed in the background while other things start.

A digest takes a second for each two gigabytes, which nobody waits for if it is begun early.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import threading
from concurrent.futures import Future
from pathlib import Path

_CHUNK = 32 * 2**20  # large, since Python's lock is asked for between two

_begun: dict[Path, Future[str]] = {}


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes, as 64 hexadecimal digits, or wait for a begun one."""
    begun = _begun.pop(path, None)
    return _digest(path) if begun is None else begun.result()


def begin_sha256(path: Path) -> None:
    """Begin to compute a file's SHA-256; the next `sha256_of` the same path returns it."""
    future = _begun[path] = Future[str]()
    threading.Thread(target=_fulfil, args=(future, path), daemon=True).start()


def _fulfil(future: Future[str], path: Path) -> None:
    try:
        future.set_result(_digest(path))
    except Exception as error:
        future.set_exception(error)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size:
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as mapped:
                with contextlib.suppress(AttributeError, OSError):
                    mapped.madvise(mmap.MADV_SEQUENTIAL)
                with memoryview(mapped) as view:
                    for start in range(0, size, _CHUNK):
                        with view[start : start + _CHUNK] as part:
                            digest.update(part)
    return digest.hexdigest()
