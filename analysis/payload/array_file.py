"""Files of uncompressed arrays (`.npz`) that the product keeps for itself, read one by one.

Each array is compared with its checksum to its last byte when it is first read. `numpy.load` does
not do that where a damaged header asks for less than there is, and takes compressed entries, which
unpack to any size.
"""

from __future__ import annotations

import math
import os
import struct
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

_LENGTHS = 26
"""Where the header of an entry says how long its name and its extra field are, which follow."""


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
            self._ends: dict[str, tuple[int, np.dtype[Any], tuple[int, ...]]] = {}
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

    def read_row(self, name: str, index: int) -> NDArray[Any]:
        """Return one entry of an array's first axis; from the second on only its bytes are read.

        Raises:
            IndexError: If the array has no such entry.
            DAMAGED: As `read` does; once compared, an array is not compared again.
        """
        if name not in self._ends:
            array = self.read(name)
            if array.flags.c_contiguous:
                self._ends[name] = self._find_end(name), array.dtype, array.shape
            return array[index].copy()
        end, dtype, (length, *shape) = self._ends[name]
        size = dtype.itemsize * math.prod(shape)
        place = end - (length - range(length)[index]) * size
        content = os.pread(self._file.fileno(), size, place)
        return np.frombuffer(content, dtype).reshape(shape)

    def _find_end(self, name: str) -> int:
        """Return where in the file the bytes of an array end."""
        entry = self._archive.getinfo(name + _SUFFIX)
        lengths = os.pread(self._file.fileno(), 4, entry.header_offset + _LENGTHS)
        name_length, extra_length = struct.unpack("<HH", lengths)
        start = entry.header_offset + _LENGTHS + 4 + name_length + extra_length
        return start + entry.file_size

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
