"""Names and shapes of the tensors in a file, from its header alone. Does not import torch.

Of a safetensors file this is the JSON at its start, of a file of `torch.save` the pickle in its
archive (`pickle_shapes`): nothing in it is called. What is in neither format, or is out of measure,
is unknown here; the run itself reads it and says what is wrong.
"""

from __future__ import annotations

import json
import zipfile
from functools import lru_cache
from pathlib import Path

from analysis.collect.backbone.weights_folder import list_shards
from analysis.collect.plan.pickle_shapes import walk_shapes
from analysis.files.atomic import is_regular
from analysis.files.isolated import isolated

Shapes = dict[str, tuple[int, ...]]

MAX_BYTES = 8_000_000
"""Of a header; that of the largest backbone has a tenth."""

_STARTS = (b"PK\x03\x04", b"\x80")
"""Of an archive, and of a bare pickle as older torch wrote it."""


def read_shapes(path: Path) -> Shapes | None:
    """Return the shape of every tensor by its name; None where the header does not tell.

    The name is that in the file, after the keys of the dicts around it, joined by dots.

    Kept by the file's size and time.
    """
    try:
        state = path.stat()
    except OSError:
        return None
    return _keep(str(path), state.st_size, state.st_mtime_ns) if is_regular(path) else None


def read_all_shapes(path: Path) -> Shapes:
    """Return the shapes in a file, in all shards of it, or in the safetensors of a folder."""
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else list_shards(path)
    return {name: shape for file in files for name, shape in (read_shapes(file) or {}).items()}


def may_hold_tensors(path: Path) -> bool:
    """Tell by its first bytes whether a file can be one of tensors; True if it is unreadable."""
    return not is_regular(path) or _starts_as_tensors(str(path))


@isolated("first bytes")
def _starts_as_tensors(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            start = file.read(9)
    except OSError:
        return True
    return start.startswith(_STARTS) or start[8:] == b"{"


@lru_cache(maxsize=256)
def _keep(path: str, size: int, mtime_ns: int) -> Shapes | None:
    del size, mtime_ns  # part of the key only
    found = _read(path)
    return None if found is None else {name: tuple(shape) for name, shape in found.items()}


@isolated("tensor shapes")
def _read(path: str) -> Shapes | None:
    try:
        with Path(path).open("rb") as file:
            start = file.read(9)
            if start[8:] == b"{":
                length = int.from_bytes(start[:8], "little")
                return _read_json(b"{" + file.read(length - 1)) if length <= MAX_BYTES else None
        with zipfile.ZipFile(path) as archive:
            member = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            if archive.getinfo(member).file_size > MAX_BYTES:
                return None
            return walk_shapes(archive.read(member))
    except (OSError, ValueError, StopIteration, zipfile.BadZipFile, NotImplementedError):
        return None


def _read_json(content: bytes) -> Shapes | None:
    try:
        entries = json.loads(content)
    except RecursionError:
        return None
    shapes: Shapes = {}
    for name, entry in entries.items():
        shape = entry.get("shape") if isinstance(entry, dict) else None
        if isinstance(shape, list) and all(type(size) is int for size in shape):
            shapes[name] = tuple(shape)
    return shapes
