"""The index beside a payload, `<stem>.index`: what lists of versions ask of it, and where it is.

To read a payload of thousands of tensors safely takes a second; lists that compare hundreds need a
small part of each. The index holds a summary of the payload, its `meta`, and the places of the
block outputs' statistics in the file, which are read from there as they are. It is a JSON, written
when a run ends; a payload without one is opened as ever.

It is checked as a payload is: `meta`, counts and numbers. It describes one content of one payload:
it holds the size of the file and the SHA-256 of the end of the archive, where the checksums of all
tensors stand. A copy keeps its index; that of an earlier payload at the same path is not read.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.files.atomic import replace_file
from analysis.files.own_state import open_regular, read_small
from analysis.payload.contract.kinds import MAX_COUNT
from analysis.payload.extras import build_extras
from analysis.payload.fingerprint import Fingerprint
from analysis.payload.reading import Reading
from analysis.payload.run_schema import clear_run
from analysis.payload.schema import check_meta
from analysis.payload.table import StatsTable
from analysis.vocabulary import REPRESENTATIONS, ROLES, STATISTICS, Representation, Statistic

SUFFIX = ".index"
FORMAT = 1
MAX_BYTES = 2**22
"""Of an index; one of the largest backbone takes 100 KB besides the config."""

MAX_END = 2**24
"""Bytes of the archive's list of entries; a thousand entries take 100 KB."""

MAX_READ = 2**29
"""Bytes of statistics that an index leads to: as much as a payload may unpack to."""

_PRE = Representation.PRE
_GROUPS = {"count": "<i8", "mean": "<f4", "std": "<f4"}
_MAGNITUDES = [Statistic.STD.position, Statistic.MAX_ABS.position]
_DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
_LOCAL_HEADER = struct.Struct("<26x2H")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Index:
    """What the index of a payload holds, and the block outputs' statistics that it leads to."""

    summary: str
    """As it was given to `save_index`; a stranger may have written it."""
    reading: Reading
    """NaN in place of all but the block outputs (`pre`); of the extras only their image groups."""


@dataclass(frozen=True)
class _Place:
    """A tensor of the payload."""

    key: str
    """Name of its entry in the archive."""
    dtype: str | None
    shape: Shape


def index_path(payload: Path) -> Path:
    """Return where the index of a payload stands."""
    return payload.with_suffix(SUFFIX)


def save_index(payload: Path, reading: Reading, summary: str) -> None:
    """Write the index of a payload that was just written.

    Args:
        payload: The `.pt`.
        reading: What it holds.
        summary: Text that a list shows of it.

    Raises:
        OSError: If it cannot be written.
        ValueError, KeyError: If the payload is not as this version writes it.
    """
    table = reading.table
    with zipfile.ZipFile(payload) as archive, payload.open("rb", buffering=0) as file:
        folder = archive.namelist()[0].split("/")[0]
        tree = _read_tree(archive, folder)
        places, groups = _list_places(tree, table)
        entries = (archive.getinfo(f"{folder}/data/{place.key}") for place in places)
        offsets = [_find_offset(file, entry) for entry in entries]
        crc = _check_sum(file, offsets, _list_shapes(table.num_layers, table.channels, groups))
        end = archive.start_dir
        size = file.seek(0, os.SEEK_END)
        digest = _hash_end(file, end)
    about = {
        "format": FORMAT,
        "size": size,
        "end": end,
        "sha256": digest,
        "layers": table.layers.tolist(),
        "counts": table.counts.tolist(),
        "channels": table.channels,
        "groups": groups,
        "offsets": offsets,
        "crc32": crc,
        "meta": table.meta,
        "summary": summary,
    }
    with replace_file(index_path(payload)) as file:
        file.write(json.dumps(about).encode())


def open_index(file: Fingerprint) -> Index | None:
    """Return the index of a payload; None where there is none that describes this very content.

    Args:
        file: Fingerprint of the payload.
    """
    path = Path(file[0])
    try:
        about = json.loads(read_small(index_path(path), MAX_BYTES))
        if about["format"] != FORMAT or about["size"] != file[1]:
            return None
        with os.fdopen(open_regular(path), "rb", buffering=0) as payload:
            state = os.fstat(payload.fileno())
            is_same = (state.st_size, state.st_mtime_ns) == file[1:]
            if not is_same or _hash_end(payload, about["end"]) != about["sha256"]:
                return None
            json.dumps(about, ensure_ascii=False).encode()  # fails on half a surrogate pair
            return Index(str(about["summary"]), _read(payload, about))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, MemoryError):
        return None


def is_index(path: Path) -> bool:
    """Return whether a file is the index of some payload."""
    try:
        about = json.loads(read_small(path, MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(about, dict) and {"format", "sha256", "offsets"} <= about.keys()


def _read(payload: FileIO, about: dict[str, Any]) -> Reading:
    """Read the statistics that an index leads to.

    Raises:
        ValueError, KeyError, TypeError: If the index is not as `save_index` writes it.
    """
    number, channels = check_meta(about["meta"])
    layers, groups = np.arange(number), int(about["groups"])
    counts = np.array(about["counts"], dtype=np.int64)
    if about["layers"] != layers.tolist() or about["channels"] != channels or groups < 0:
        raise ValueError("other sizes than in meta.counts")
    if counts.shape != (number, len(ROLES)) or counts.min() < 1 or counts.max() > MAX_COUNT:
        raise ValueError("no counts of tokens")
    shapes = _list_shapes(number, channels, groups)
    needed = sum(np.dtype(dtype).itemsize * math.prod(shape) for dtype, shape in shapes)
    if needed > min(about["size"], MAX_READ):
        raise ValueError("more numbers than the payload holds")
    pieces = list(_read_pieces(payload, about["offsets"], shapes))
    crc = 0
    for piece in pieces:
        crc = zlib.crc32(piece.data, crc)
    if crc != about["crc32"]:
        raise ValueError("not the numbers that were written")
    values = np.full(
        (number, len(REPRESENTATIONS), len(ROLES), len(STATISTICS), channels), np.nan, np.float32
    )
    measured = number * len(ROLES) * len(STATISTICS)
    measurements = np.stack(pieces[:measured]).reshape(values[:, 0].shape)
    if not np.isfinite(measurements).all() or (measurements[:, :, _MAGNITUDES] < 0).any():
        raise ValueError("no statistics")
    values[:, _PRE.position] = measurements
    parts: dict[str, NDArray[Any]] = {}
    if groups:
        rest = iter(pieces[measured:])
        cells = [[{key: next(rest) for key in _GROUPS} for _ in ROLES] for _ in range(number)]
        for role in ROLES:
            for key in _GROUPS:
                stacked = np.stack([row[role.position][key] for row in cells])
                parts[f"groups/{_PRE.value}/{role.value}/{key}"] = stacked
        if any((parts[name] < 0).any() for name in parts if name.endswith("/count")):
            raise ValueError("a negative count")
    meta = about["meta"]
    if "run" in meta:
        meta["run"] = clear_run(meta["run"], number)
    notes = {"layers": layers.tolist(), "roles": [], "paths": [], "grid": None}
    return Reading(StatsTable(values, counts, layers, meta), lambda: build_extras(parts, notes))


def _list_shapes(layers: int, channels: int, groups: int) -> list[tuple[str, Shape]]:
    """Return type and shape of every piece: the statistics of all cells, then their groups."""
    shapes: list[tuple[str, Shape]] = [("<f4", (channels,))] * (layers * len(ROLES) * 3)
    if groups:
        of_cell = [
            (d, (groups,) if k == "count" else (groups, channels)) for k, d in _GROUPS.items()
        ]
        shapes += of_cell * (layers * len(ROLES))
    return shapes


def _read_pieces(
    payload: FileIO, offsets: list[int], shapes: list[tuple[str, Shape]]
) -> Iterator[NDArray[Any]]:
    for offset, (dtype, shape) in zip(offsets, shapes, strict=True):
        piece = np.empty(shape, dtype)
        payload.seek(offset)
        if payload.readinto(piece.data.cast("B")) != piece.nbytes:
            raise ValueError("cut off")
        yield piece


def _check_sum(payload: FileIO, offsets: list[int], shapes: list[tuple[str, Shape]]) -> int:
    crc = 0
    for piece in _read_pieces(payload, offsets, shapes):
        crc = zlib.crc32(piece.data, crc)
    return crc


def _hash_end(payload: FileIO, start: int) -> str:
    """Return the SHA-256 of a file from a byte on, of at most `MAX_END`."""
    payload.seek(start)
    end = payload.read(MAX_END + 1)
    if not end or len(end) > MAX_END:
        raise ValueError("no end of an archive")
    return hashlib.sha256(end).hexdigest()


def _list_places(tree: Any, table: StatsTable) -> tuple[list[_Place], int]:
    """Return the tensors of the index, in its order, and the number of image groups."""
    layers = table.layers.tolist()
    cells = [tree["layers"][layer][_PRE.value][role.value] for layer in layers for role in ROLES]
    places: list[_Place] = [cell[s.value] for cell in cells for s in STATISTICS]
    of_layers = (tree.get("extras") or {}).get("layers") or {}
    found = [
        ((of_layers.get(layer) or {}).get("groups") or {}).get(_PRE.value, {}).get(role.value)
        for layer in layers
        for role in ROLES
    ]
    groups = 0
    if all(found):
        groups = found[0]["count"].shape[0]
        places += [cell[key] for cell in found for key in _GROUPS]
    shapes = _list_shapes(len(layers), table.channels, groups)
    if [(place.dtype, place.shape) for place in places] != shapes:
        raise ValueError("tensors of other types or shapes")
    return places, groups


def _find_offset(file: FileIO, entry: zipfile.ZipInfo) -> int:
    """Return the first byte of an entry's data."""
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError("compressed")
    file.seek(entry.header_offset)
    lengths = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return entry.header_offset + _LOCAL_HEADER.size + sum(lengths)


def _read_tree(archive: zipfile.ZipFile, folder: str) -> Any:
    """Return the payload with places instead of its tensors."""
    return _Finder(BytesIO(archive.read(f"{folder}/data.pkl"))).load()


class _Finder(pickle.Unpickler):
    """Reads what `torch.save` wrote without a tensor; the only calls are those below."""

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        """Return key and type of a storage."""
        return str(pid[2]), str(pid[1])

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a class or function; a name for all others."""
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _place
        return dict if (module, name) == ("collections", "OrderedDict") else name


def _place(
    storage: tuple[str, str], offset: int, shape: Shape, stride: Shape, *_: object
) -> _Place:
    key, kind = storage
    whole: list[int] = []
    step = 1
    for size in reversed(shape):
        whole.insert(0, step)
        step *= size
    is_plain = offset == 0 and list(stride) == whole
    return _Place(key, _DTYPES.get(kind) if is_plain else None, tuple(shape))
