"""Judge a zip archive of `torch.save` before torch unpacks it, and take out its pickle.

Python's reader of archives and torch's are two, and a file can be made to say one thing to each.
So an archive passes only if there is nothing to disagree about: one directory at the very end, to
which every pointer leads, no two entries of one name (torch does not tell A from a), no entry that
overlaps another or has a second name or size, nothing encrypted.
"""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

MAX_ENTRIES = 10_000
"""Files in an archive, one for each tensor: a payload with extras has 110 for each layer."""

MAX_PICKLE_BYTES = 64_000_000
"""What describes the tensors; a backbone's is below one megabyte."""

MAX_COMPRESSED_BYTES = 256_000_000
"""torch compresses nothing; an archive that somebody repacked is unpacked in memory."""

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_LOCAL_HEADER_SIZE = 30
_EXTRA_ZIP64, _EXTRA_UNICODE_NAME = 1, 0x7075


@dataclass(frozen=True)
class Archive:
    """What is to be known of a torch file before torch opens it."""

    unpacked: int
    """Bytes after unpacking."""
    stored: bool
    """Whether it is a zip archive without compression, which can be memory-mapped."""
    pickle: bytes | None
    """What describes the tensors in a zip archive; None for the legacy format."""


def inspect_archive(
    path: Path, start: bytes, max_bytes: int | None = None, *, checksums: bool = False
) -> Archive:
    """Read the directory and the pickle of a torch file.

    Args:
        path: A regular file.
        start: Its first bytes.
        max_bytes: Refuse what unpacks to more; None for no limit.
        checksums: Read every entry and compare its CRC-32, which torch does not when it maps.

    Raises:
        ValueError, zipfile.BadZipFile, RuntimeError: If it is a damaged or unusual zip archive.
    """
    size = path.stat().st_size
    if not start.startswith(b"PK"):
        _check_size(size, max_bytes)
        return Archive(size, stored=False, pickle=None)
    _check_directory(path, size)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = {entry.filename.lower() for entry in entries}
        if len(names) < len(entries):
            raise ValueError("two entries of the archive have the same name")
        _check_entries(entries, archive.start_dir)
        # torch compresses nothing, and mapping would read compressed bytes as numbers.
        stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
        unpacked = max(size, sum(entry.file_size for entry in entries))
        _check_size(unpacked, max_bytes)
        if not stored and unpacked > MAX_COMPRESSED_BYTES:
            raise ValueError(f"it is compressed and unpacks to {unpacked} bytes")
        if not entries:
            raise ValueError("the archive is empty")
        pickle = archive.getinfo(f"{entries[0].filename.split('/')[0]}/data.pkl")
        if pickle.file_size > MAX_PICKLE_BYTES:
            raise ValueError(f"data.pkl has {pickle.file_size} bytes")
        if "constants.pkl" in {name.rpartition("/")[2] for name in names}:
            raise ValueError("TorchScript archive")
        if checksums and (damaged := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {damaged} is wrong")
        return Archive(unpacked, stored, archive.read(pickle))


def _check_size(unpacked: int, max_bytes: int | None) -> None:
    if max_bytes is not None and unpacked > max_bytes:
        raise ValueError(f"it unpacks to {unpacked} bytes, more than the limit of {max_bytes}")


def _check_directory(path: Path, size: int) -> None:
    """Check that the directory ends the file and lies where it says, and count the entries."""
    with path.open("rb") as file:
        tail_size = min(size, _END64.size + _LOCATOR.size + _END.size)
        file.seek(size - tail_size)
        tail = file.read()
    if tail[-_END.size :][:4] != b"PK\5\6":
        raise ValueError("the archive is cut off, or something follows it")
    *numbers, comment = _END.unpack(tail[-_END.size :])[1:]
    disks, (count, length, offset) = numbers[:2], numbers[3:]
    end = size - _END.size
    if tail[-_END.size - _LOCATOR.size :].startswith(b"PK\6\7"):
        end -= _LOCATOR.size + _END64.size
        count, length, offset = _read_end64(tail, end, numbers)
    if comment or any(disks):
        raise ValueError("the archive has a comment or several parts")
    if offset + length != end:
        raise ValueError("the archive's directory is not where it says")
    if count > MAX_ENTRIES or length > 1000 * MAX_ENTRIES:
        raise ValueError(f"the archive has more than {MAX_ENTRIES} entries")


def _read_end64(tail: bytes, place: int, short: list[int]) -> tuple[int, int, int]:
    """Return number, bytes and offset of the entries by the zip64 record, which stands at `place`.

    Python looks for that record before its locator, torch where the locator points to.
    """
    _, disk, found, disks = _LOCATOR.unpack(tail[_END64.size : _END64.size + _LOCATOR.size])
    mark, rest, _, _, *numbers = _END64.unpack(tail[: _END64.size])
    if mark != b"PK\6\6" or (disk, found, disks, rest) != (0, place, 1, _END64.size - 12):
        raise ValueError("the archive has two directories, or points to one elsewhere")
    limits = [0xFFFF] * 4 + [0xFFFFFFFF] * 2
    for one, other, limit in zip(short, numbers, limits, strict=True):
        if one not in (other, limit):
            raise ValueError("the two ends of the archive contradict each other")
    if any(numbers[:2]) or numbers[2] != numbers[3]:
        raise ValueError("the archive has several parts")
    count, length, offset = numbers[3:]
    return count, length, offset


def _check_entries(entries: list[zipfile.ZipInfo], end: int) -> None:
    """Refuse entries over the same bytes, and those with a second name or size."""
    for entry in sorted(entries, key=lambda entry: entry.header_offset, reverse=True):
        if entry.header_offset + _LOCAL_HEADER_SIZE + entry.compress_size > end:
            raise ValueError("entries of the archive overlap")
        end = entry.header_offset
        kinds = _list_extras(entry.extra)
        if _EXTRA_UNICODE_NAME in kinds or kinds.count(_EXTRA_ZIP64) > 1:
            raise ValueError("an entry of the archive has two names or two sizes")


def _list_extras(extra: bytes) -> list[int]:
    kinds = []
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<2H", extra)
        kinds.append(kind)
        extra = extra[4 + size :]
    return kinds
