"""The parts of `extras` that were read once, kept without torch, each readable by itself.

One `.npz` per payload beside the cache of `analysis.payload.array_cache`. Its members are stored
uncompressed, so that reading one does not touch the others: of the largest backbone all parts
together are 150 MB, while a page needs a few.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.files.atomic import replace_file
from analysis.payload.array_cache import DAMAGED, Fingerprint, cache_path, forget_old, open_stored

FOLDER = "extras"

FORMAT = 2
"""Part of every cached file; to be raised when the members' meaning changes."""

MAX_FILES = 8
"""Cached payloads kept; fewer than of the tables, which are a tenth of the size."""

_logger = logging.getLogger(__name__)


def open_parts(
    fingerprint: Fingerprint,
) -> tuple[Mapping[str, NDArray[Any]], dict[str, Any]] | None:
    """Return the parts by name, read when asked for, and what was noted; None where not cached."""
    try:
        stored = open_stored(cache_path(fingerprint, FOLDER))
        about = json.loads(stored["about"].tobytes())
        same = about["format"] == FORMAT and about["fingerprint"] == list(fingerprint)
        if same and isinstance(about["notes"], dict):
            return stored, about["notes"]
        stored.close()
    except FileNotFoundError:
        pass
    except DAMAGED as error:
        _logger.warning("Ignoring a damaged cache file of %s: %s", fingerprint[0], error)
    return None


def save_parts(
    fingerprint: Fingerprint, parts: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]
) -> None:
    """Keep the parts of a payload, in place of those of earlier files at its path."""
    path = cache_path(fingerprint, FOLDER)
    about = json.dumps({"format": FORMAT, "fingerprint": fingerprint, "notes": notes}).encode()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replace_file(path) as file:
            np.savez(file, allow_pickle=False, about=np.frombuffer(about, dtype=np.uint8), **parts)
        forget_old(path, MAX_FILES)
    except OSError as error:
        _logger.warning("Extras are read anew each time, since nothing can be cached: %s", error)
