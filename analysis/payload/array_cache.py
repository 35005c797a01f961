"""Arrays of payloads that were read once, kept without torch and without pickle.

One `.npz` per payload in a folder of the user's own, named by the payload's fingerprint (path,
size, mtime_ns). The cache is only ever a shortcut: what is missing, damaged or of another format
is read from the payload again and rewritten, and where nothing can be written nothing is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from analysis.files.atomic import replace_file
from analysis.vocabulary import Representation, Statistic, TokenRole

CACHE_ENV = "DASHBOARD_CACHE"
"""Where the cache is kept, instead of the user's cache folder."""

FORMAT = 1
"""Part of every cached file; to be raised when the arrays' meaning changes."""

MAX_FILES = 64
"""Cached payloads kept; the least recently written go first."""

Fingerprint: TypeAlias = tuple[str, int, int]
"""Path, size in bytes, mtime in ns."""

_logger = logging.getLogger(__name__)
DAMAGED = (
    OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, NotImplementedError,
    RecursionError, MemoryError, BadZipFile, zlib.error,
)  # fmt: skip


def cache_folder() -> Path:
    """Return the folder of the cache; it need not exist."""
    chosen = os.environ.get(CACHE_ENV)
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dinov3-feature-stats"


def load_arrays(fingerprint: Fingerprint) -> dict[str, Any] | None:
    """Return `values`, `counts`, `layers` and `meta` of a payload; None where not cached."""
    try:
        with open_stored(cache_path(fingerprint)) as stored:
            about = json.loads(stored["about"].tobytes())
            if about["format"] != FORMAT or about["fingerprint"] != list(fingerprint):
                return None
            arrays = {
                "values": stored["values"],
                "counts": stored["counts"],
                "layers": stored["layers"],
            }
            fits = isinstance(about["meta"], dict) and _fit(**arrays)
            return {**arrays, "meta": about["meta"]} if fits else None
    except FileNotFoundError:
        return None
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
    fingerprint: Fingerprint,
    *,
    values: NDArray[np.float32],
    counts: NDArray[np.int64],
    layers: NDArray[np.int64],
    meta: Mapping[str, Any],
) -> None:
    """Keep the arrays of a payload, in place of those of earlier files at its path."""
    path = cache_path(fingerprint)
    about = json.dumps({"format": FORMAT, "fingerprint": fingerprint, "meta": meta}).encode()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replace_file(path) as file:
            np.savez(
                file,
                values=values,
                counts=counts,
                layers=layers,
                about=np.frombuffer(about, dtype=np.uint8),
            )
        forget_old(path, MAX_FILES)
    except OSError as error:
        _logger.warning("Payloads are read anew each time, since nothing can be cached: %s", error)


def cache_path(fingerprint: Fingerprint, part: str = "") -> Path:
    """Return the file that is kept for a payload, in a folder of its own for each part."""
    path, size, mtime_ns = fingerprint
    place = hashlib.sha256(os.fsencode(path)).hexdigest()[:24]
    return cache_folder() / part / f"{place}-{size:x}-{mtime_ns:x}.npz"


def _fit(values: NDArray[Any], counts: NDArray[Any], layers: NDArray[Any]) -> bool:
    shape = (len(layers), len(Representation), len(TokenRole), len(Statistic))
    return (
        values.dtype == np.float32
        and values.ndim == len(shape) + 1
        and values.shape[:-1] == shape
        and counts.dtype == layers.dtype == np.int64
        and counts.shape == (shape[0], shape[2])
    )


def forget_old(kept: Path, most: int) -> None:
    """Remove the files of earlier payloads at the same path, and all but the newest `most`."""
    place = kept.name.split("-")[0]
    others = [path for path in kept.parent.glob("*-*-*.npz") if path != kept]
    with contextlib.suppress(FileNotFoundError):  # another server may be tidying too
        others.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for number, path in enumerate(others, start=1):
        if number >= most or path.name.startswith(f"{place}-"):
            path.unlink(missing_ok=True)
