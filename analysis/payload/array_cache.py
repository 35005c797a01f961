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
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import PayloadError
from analysis.files.atomic import replace_file
from analysis.files.cache_folder import cache_folder
from analysis.files.writing import make_folder
from analysis.language import _
from analysis.payload.array_file import DAMAGED, ArrayFile
from analysis.payload.fingerprint import Fingerprint
from analysis.vocabulary import Representation, Statistic, TokenRole

FORMAT = 5
"""Part of every cached file; to be raised when the arrays' meaning changes."""

MAX_FILES = 64
"""Cached payloads kept; the least recently written go first."""

MAX_BYTES = 4 * 2**30
"""Of all cached payloads together; one of the largest backbone takes 150 MB, of ViT-L 40 MB."""

_logger = logging.getLogger(__name__)


class StoredArrays(Mapping[str, NDArray[Any]]):
    """The arrays of a cache file by name, each read when it is asked for.

    A file that turns out to be damaged is removed and made again from the payload.
    """

    def __init__(
        self,
        file: ArrayFile,
        path: Path,
        known: Mapping[str, NDArray[Any]],
        make_again: Callable[[], Mapping[str, NDArray[Any]]] | None,
    ) -> None:
        """Take an open file.

        Args:
            file: The open file.
            path: Where it lies.
            known: Arrays that were read already.
            make_again: Reads the payload and returns its arrays; None to do that but once.
        """
        self._file = file
        self._path = path
        self._known = known
        self._make_again = make_again
        self._remade: Mapping[str, NDArray[Any]] | None = None

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return one array, read-only.

        Raises:
            KeyError: If there is none of this name.
            PayloadError: If the file is damaged and the payload cannot be read again.
        """
        if name in self._known and self._remade is None:
            array = self._known[name]
        else:
            array = self._read(name, self._file.read, lambda whole: whole)
        array.setflags(write=False)
        return array

    def row(self, name: str, index: int) -> NDArray[Any]:
        """Return one entry of an array's first axis, without reading the others each time.

        Raises:
            KeyError: If there is no array of this name.
            IndexError: If it has no such entry.
            PayloadError: As reading the whole array does.
        """
        read = partial(self._file.read_row, index=index)
        return self._read(name, read, lambda whole: whole[index])

    def _read(
        self,
        name: str,
        read: Callable[[str], NDArray[Any]],
        take: Callable[[NDArray[Any]], NDArray[Any]],
    ) -> NDArray[Any]:
        if name not in self._file.names:
            raise KeyError(name)
        if self._remade is None:
            try:
                return read(name)
            except DAMAGED as error:
                self._remade = self._replace(error)
        return take(self._remade[name])

    def __contains__(self, name: object) -> bool:
        """Return whether there is an array of this name, without reading it."""
        return name in self._file.names

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.names)

    def __len__(self) -> int:
        return len(self._file.names)

    def _replace(self, error: Exception) -> Mapping[str, NDArray[Any]]:
        _logger.warning(
            "%s: damaged file of the cache (%s: %s), made again from the payload",
            self._path, type(error).__name__, error,
        )  # fmt: skip
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        if self._make_again is None:
            raise PayloadError(
                _(
                    "{path}: this file of the cache is damaged and cannot be replaced. Delete it "
                    "and load the page again."
                ).format(path=self._path)
            ) from error
        return self._make_again()


def take_row(arrays: Mapping[str, NDArray[Any]], name: str, index: int) -> NDArray[Any]:
    """Return one entry of the first axis of an array, wherever it is kept.

    Raises:
        KeyError: If there is no array of this name.
        PayloadError: As `StoredArrays` does.
    """
    return arrays.row(name, index) if isinstance(arrays, StoredArrays) else arrays[name][index]


def open_arrays(
    fingerprint: Fingerprint,
    folder: Path | None = None,
    make_again: Callable[[], Mapping[str, NDArray[Any]]] | None = None,
) -> tuple[StoredArrays, dict[str, Any]] | None:
    """Return the arrays of a payload and its `meta`; None where they are not cached.

    `values`, `counts` and `layers` are as `StatsTable` holds them.

    Args:
        fingerprint: Of the payload.
        folder: In place of the folder of the cache.
        make_again: Reads the payload where an array proves damaged later, and returns its arrays.
    """
    path = cache_path(fingerprint, folder)
    try:
        file = ArrayFile(path)
    except FileNotFoundError:
        return None
    except DAMAGED as error:
        _logger.warning("Ignoring a damaged cache file of %s: %s", fingerprint[0], error)
        return None
    try:
        about = json.loads(file.read("about").tobytes())
        # A name that changed in the directory must not look like a part that was never measured.
        is_current = about["format"] == FORMAT and about["fingerprint"] == list(fingerprint)
        if is_current and set(about["names"]) == file.names - {"about"}:
            table = {name: file.read(name) for name in ("values", "counts", "layers")}
            if _fit(**table) and isinstance(about["meta"], dict):
                return StoredArrays(file, path, table, make_again), about["meta"]
    except DAMAGED as error:
        _logger.warning("Ignoring a damaged cache file of %s: %s", fingerprint[0], error)
    file.close()
    return None


def save_arrays(
    fingerprint: Fingerprint, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]
) -> None:
    """Keep the arrays of a payload, in place of those of earlier files at its path."""
    path = cache_path(fingerprint)
    facts = {"format": FORMAT, "fingerprint": fingerprint, "meta": meta, "names": sorted(arrays)}
    about = json.dumps(facts).encode()
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
