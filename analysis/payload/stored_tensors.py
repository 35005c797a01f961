"""Tensors of a safetensors file, read one by one; its header may be read in another process.

Format: eight bytes with the length of a JSON, little-endian; the JSON, with dtype, shape and place
of every tensor; their bytes (https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from analysis.errors import PayloadError
from analysis.files.isolated import identify, isolated
from analysis.files.own_state import open_regular
from analysis.language import _

DTYPES: Mapping[str, str] = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8"}
MAX_HEADER = 64 * 2**20


@dataclass(frozen=True)
class StoredTensors:
    """The tensors of one file as it was when its header was read."""

    path: Path
    metadata: Mapping[str, str]
    tensors: Mapping[str, tuple[str, tuple[int, ...], int]]
    """By name: dtype as in `DTYPES`, shape, and the first byte in the file."""

    def read(self, name: str, row: int | None = None) -> NDArray[Any]:
        """Return one tensor, or one row of its first axis.

        Raises:
            KeyError: If there is none of this name.
            PayloadError: If the file cannot be read, or is shorter by now.
        """
        dtype, shape, start = self.tensors[name]
        kind = np.dtype(DTYPES[dtype])
        if row is not None:
            size = math.prod(shape[1:])
            start, shape = start + range(shape[0])[row] * size * kind.itemsize, shape[1:]
        count = math.prod(shape)
        try:
            with os.fdopen(open_regular(self.path.resolve()), "rb") as file:
                values = np.fromfile(file, kind, count, offset=start)
        except OSError as error:
            raise PayloadError(
                _("{path}: cannot be read ({strerror}).").format(
                    path=self.path, strerror=error.strerror or error
                )
            ) from error
        if values.size < count:
            raise PayloadError(
                _("{path}: was cut off while it was read. Load the page again.").format(
                    path=self.path
                )
            )
        return values.reshape(shape)


def open_tensors(path: Path) -> StoredTensors:
    """Read the header of a file.

    Raises:
        ValueError: If it is no safetensors file, or holds tensors of other kinds than `DTYPES`.
        OSError: As the system says.
    """
    size = path.stat().st_size
    header = read_header(str(path), identify(path))
    if not isinstance(header, dict) or header.get("error"):
        raise ValueError((header or {}).get("error"))
    tensors = {}
    for name, (dtype, shape, start) in header["tensors"].items():
        shape = tuple(map(int, shape))
        length = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
        if min(shape, default=0) < 0 or not 0 <= start <= start + length <= size:
            raise ValueError(f"{name} lies outside the file")
        tensors[name] = dtype, shape, int(start)
    return StoredTensors(path, header["metadata"], tensors)


@isolated("tensor header")
def read_header(path: str, _identity: object) -> dict[str, Any]:
    """Return metadata and tensors of a file, or an `error`; safetensors checks that they fit."""
    try:
        with Path(path).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER:
            return {"error": f"a header of {length} bytes"}
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            tensors, start = {}, 8 + length
            for name in file.offset_keys():
                part = file.get_slice(name)
                dtype, shape = part.get_dtype(), list(part.get_shape())
                if dtype not in DTYPES:
                    return {"error": f"{name[:80]} is {dtype}"}
                tensors[name] = [dtype, shape, start]
                start += math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        return {"error": str(error)}
    return {"metadata": metadata, "tensors": tensors}
