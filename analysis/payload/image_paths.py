"""Write the paths of very many images so that the payload can be opened quickly, and read them.

As a list each path takes two steps of the pickle, and a pickle of many steps is refused as hostile
(`analysis.files.pickle_scan`); as one array they take none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_LISTED = 200_000
"""Paths, half as many as a pickle may hold. Beyond, they are packed."""

MAX_LISTED_BYTES = 16_000_000
"""Of all paths together, half of what `analysis.files.plain_values` lets pass."""

MAX_PACKED_PATHS = 2_000_000
MAX_PACKED_BYTES = 128_000_000
"""What is read of a packed list: each path becomes a text of some fifty bytes more."""

_END = "\0"
"""Between two paths; no path holds it."""


def pack_paths(paths: Sequence[str]) -> list[str] | NDArray[np.uint8]:
    """Return the paths as they are, or as one uint8 array where they are very many."""
    data = _END.join(paths).encode(errors="surrogatepass")
    if len(paths) <= MAX_LISTED and len(data) <= MAX_LISTED_BYTES:
        return list(paths)
    return np.frombuffer(bytearray(data), "uint8")


def unpack_paths(packed: Any) -> list[str]:
    """Return the paths of a list, an array or a tensor; none of None."""
    if packed is None or isinstance(packed, list):
        return list(map(str, packed or []))
    return np.asarray(packed).tobytes().decode(errors="replace").split(_END)


# What Pillow reads by itself: it also opens some that run an interpreter (EPS) or need a plugin. A
# JPEG that holds several pictures (MPO) counts as JPEG.
FORMATS = (
    *("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000"),
    *("DIB", "TGA", "QOI", "SGI", "PCX", "PSD", "DDS"),
)


def fingerprint_files(relatives: Iterable[str], sizes: Iterable[int | None]) -> str:
    """Return a sha256 over relative paths and file sizes in order; None where there is no file."""
    digest = hashlib.sha256()
    for relative, size in zip(relatives, sizes, strict=True):
        digest.update(f"{relative}\0{size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
