"""Files of uncompressed arrays (`.npz`) that the product keeps for itself, read one by one.

Each array is compared with its checksum to its last byte. `numpy.load` does not do that where a
damaged header asks for less than there is, and takes compressed entries, which unpack to any size.
"""

from __future__ import annotations

import os
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from analysis.files.own_state import open_regular

DAMAGED = (
    OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, RuntimeError,
    MemoryError, zipfile.BadZipFile, zlib.error, tokenize.TokenError, OverflowError,
)  # fmt: skip
"""What opening and reading a damaged file may raise."""

_SUFFIX = ".npy"


class ArrayFile:
    """An open file of arrays; `names` are in its directory."""

    def __init__(self, path: Path) -> None:
        """Open a file without reading its arrays.

        Raises:
            FileNotFoundError: If there is none.
            DAMAGED: If it is no regular file, a link, or no archive of uncompressed arrays.
        """
        self._file = os.fdopen(open_regular(path), "rb")
        try:
            self._archive = zipfile.ZipFile(self._file)
            entries = self._archive.infolist()
            if any(entry.compress_type or entry.flag_bits & 1 for entry in entries):
                raise ValueError("compressed or encrypted")
            self.names = frozenset(entry.filename.removesuffix(_SUFFIX) for entry in entries)
        except BaseException:
            self._file.close()
            raise

    def read(self, name: str) -> NDArray[Any]:
        """Return one array.

        Raises:
            DAMAGED: If there is no such array, or it is not as it was written.
        """
        with self._archive.open(name + _SUFFIX) as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
            if stream.read(1):  # only at its end is the checksum compared
                raise ValueError(f"{name} is longer than its header says")
        return array

    def close(self) -> None:
        """Close the file."""
        self._archive.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_archive"):
            self.close()
