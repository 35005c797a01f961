"""Arrays of payloads that were read once, kept without torch and without pickle.

One `.npz` per payload in a folder of the user's own, named by the payload's fingerprint (path,
size, mtime_ns). Its members are stored uncompressed, so that reading one does not touch the
others: of the largest backbone all together are 150 MB, while a page needs a few.

The cache is only ever a shortcut: what is missing, damaged or of another format is read from the
payload again and rewritten, and where nothing can be written nothing is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from analysis.errors import PayloadError
from analysis.files.atomic import replace_file
from analysis.files.cache_folder import cache_folder
from analysis.files.writing import make_folder
from analysis.payload.fingerprint import Fingerprint
from analysis.vocabulary import Representation, Statistic, TokenRole

FORMAT = 4
"""Part of every cached file; to be raised when the arrays' meaning changes."""

MAX_FILES = 64
"""Cached payloads kept; the least recently written go first."""

MAX_BYTES = 4 * 2**30
"""Of all cached payloads together; one of the largest backbone takes 150 MB, of ViT-L 40 MB."""

_logger = logging.getLogger(__name__)
DAMAGED = (
    OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, NotImplementedError,
    RecursionError, MemoryError, BadZipFile, zlib.error,
    tokenize.TokenError, OverflowError,
)  # fmt: skip


class StoredArrays(Mapping[str, NDArray[Any]]):
    """The members of a cache file by name, each read when it is asked for."""

    def __init__(self, stored: NpzFile, path: Path, known: dict[str, NDArray[Any]]) -> None:
        self._stored = stored
        self._path = path
        self._known = known
        """What was read already."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return one array, read-only.

        Raises:
            KeyError: If there is none of this name.
            PayloadError: If the file was damaged since it was opened; it is removed.
        """
        if name not in self._stored.files:
            raise KeyError(name)
        try:
            array = self._known[name] if name in self._known else self._stored[name]
        except DAMAGED as error:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
            raise PayloadError(
                f"{self._path}: this file of the cache is damaged and was removed. Load the page "
                "again to read the payload itself."
            ) from error
        array.setflags(write=False)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored.files)

    def __len__(self) -> int:
        return len(self._stored.files)


def open_arrays(
    fingerprint: Fingerprint, folder: Path | None = None
) -> tuple[StoredArrays, dict[str, Any]] | None:
    """Return the arrays of a payload and its `meta`; None where they are not cached.

    `values`, `counts` and `layers` are as `StatsTable` holds them.

    Args:
        fingerprint: Of the payload.
        folder: In place of the folder of the cache.
    """
    path = cache_path(fingerprint, folder)
    try:
        stored = open_stored(path)
        about = json.loads(stored["about"].tobytes())
        if about["format"] == FORMAT and about["fingerprint"] == list(fingerprint):
            table = {name: stored[name] for name in ("values", "counts", "layers")}
            if _fit(**table) and isinstance(about["meta"], dict):
                return StoredArrays(stored, path, table), about["meta"]
        stored.close()
    except FileNotFoundError:
        pass
    except DAMAGED as error:
        _logger.warning("Ignoring a damaged cache file of %s: %s", fingerprint[0], error)
    return None


def open_stored(path: Path) -> NpzFile:
    """Open a cache file without reading its arrays.

    Raises:
        OSError, ValueError: If it is no archive of uncompressed arrays, which alone is written
            here: what is compressed can unpack to any size.
    """
    if not path.is_file() and path.exists():
        raise ValueError("not a regular file")
    stored = np.load(path, allow_pickle=False)
    if not isinstance(stored, NpzFile):
        raise ValueError("not an archive")
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type for entry in archive.infolist()):
            raise ValueError("compressed")
    return stored


def save_arrays(
    fingerprint: Fingerprint, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]
) -> None:
    """Keep the arrays of a payload, in place of those of earlier files at its path."""
    path = cache_path(fingerprint)
    about = json.dumps({"format": FORMAT, "fingerprint": fingerprint, "meta": meta}).encode()
    try:
        make_folder(path.parent, 0o700)
        with replace_file(path) as file:
            np.savez(file, allow_pickle=False, about=np.frombuffer(about, np.uint8), **arrays)
        forget_old(path)
    except OSError as error:
        _logger.warning("Payloads are read anew each time, since nothing can be cached: %s", error)


def cache_path(fingerprint: Fingerprint, folder: Path | None = None) -> Path:
    """Return the file that is kept for a payload, in a folder or in that of the cache."""
    path, size, mtime_ns = fingerprint
    place = hashlib.sha256(os.fsencode(path)).hexdigest()[:24]
    return (folder or cache_folder()) / f"{place}-{size:x}-{mtime_ns:x}.npz"


def _fit(values: NDArray[Any], counts: NDArray[Any], layers: NDArray[Any]) -> bool:
    shape = (len(layers), len(Representation), len(TokenRole), len(Statistic))
    return (
        values.dtype == np.float32
        and values.ndim == len(shape) + 1
        and values.shape[:-1] == shape
        and counts.dtype == layers.dtype == np.int64
        and counts.shape == (shape[0], shape[2])
    )


def forget_old(kept: Path) -> None:
    """Remove the files of earlier payloads at the same path, and the oldest beyond the limits."""
    place = kept.name.split("-")[0]
    others = [path for path in kept.parent.glob("*-*-*.npz") if path != kept]
    with contextlib.suppress(FileNotFoundError):  # another server may be tidying too
        others.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        total = kept.stat().st_size
        for number, path in enumerate(others, start=1):
            total += path.stat().st_size
            if number >= MAX_FILES or total > MAX_BYTES or path.name.startswith(f"{place}-"):
                path.unlink(missing_ok=True)
