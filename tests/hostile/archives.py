"""Zip archives as torch writes them, and archives that lie about what they hold."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Mapping

from tests.hostile.pickles import START, STOP, in_dict, tensor, text

_END, _LOCATOR = struct.Struct("<4s4H2LH"), struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")

HARMLESS = START + b"}" + text("layers") + b"}s" + STOP
RECORDS = {"version": b"3\n", "byteorder": b"little", "data/0": bytes(16)}


def as_zip(
    content: bytes | None,
    records: Mapping[str, bytes] = RECORDS,
    *,
    method: int = zipfile.ZIP_STORED,
    root: str = "archive/",
) -> bytes:
    """Put a pickle into an archive like torch's; None leaves it out."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        if content is not None:
            archive.writestr(f"{root}data.pkl", content)
        for record, data in records.items():
            archive.writestr(f"{root}{record}", data)
    return file.getvalue()


def with_entry(extra: str, data: bytes = b"x") -> bytes:
    """Add an entry under exactly this name."""
    file = io.BytesIO(as_zip(HARMLESS))
    with zipfile.ZipFile(file, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there already
        archive.writestr(extra, data)
    return file.getvalue()


def lying_archives() -> dict[str, bytes]:
    """Return archives that must be refused, or at least do no harm."""
    good = as_zip(HARMLESS)
    local, central, end = good.index(b"PK\3\4"), good.index(b"PK\1\2"), good.rindex(b"PK\5\6")
    zeros = bytes(10_000_000)
    wrapped = bytearray(as_zip(in_dict(tensor([2], [1]))))
    return {
        "no pickle": as_zip(None),
        "no records": as_zip(HARMLESS, {}),
        "no folder": as_zip(HARMLESS, root=""),
        "empty archive": as_zip(None, {}),
        "another folder first": as_zip(None, {"../other/x": b""}),
        "two pickles": with_entry("archive/data.pkl", in_dict(b"N")),
        "two pickles in other letters": with_entry("archive/DATA.PKL", in_dict(b"N")),
        "absolute name": with_entry("/etc/cron.d/x"),
        "name with ..": with_entry("../../../../tmp/x"),
        "name with a backslash": with_entry("..\\..\\x"),
        "name of 60,000 letters": with_entry("x" * 60_000),
        "code": with_entry("archive/code/__torch__.py", b"import os"),
        "torchscript constants": with_entry("archive/constants.pkl", b"\x80\x02)."),
        "encrypted pickle": _patch(good, (local + 6, 1), (central + 8, 1)),
        "unknown compression": _patch(good, (local + 8, 99), (central + 10, 99)),
        "stored called deflated": _patch(good, (local + 8, 8), (central + 10, 8)),
        "larger than it is": _patch(good, (central + 24, 0xFFFF)),
        "4 GB declared": _patch32(good, central + 20, 0xFFFFFFF0, 0xFFFFFFF0),
        "smaller than it is": _patch(good, (central + 24, 1)),
        "entry beyond the end": _patch32(good, central + 42, 0x7FFFFFFF),
        "directory beyond the end": _patch32(good, end + 16, 0x7FFFFFFF),
        "directory of 65,534 entries": _patch(good, (end + 8, 65534), (end + 10, 65534)),
        "wrong checksum": _patch32(good, central + 16, 12345),
        "something before it": b"#!/bin/sh\ntouch x\n" + good,
        "PK before it": b"PK" + good,
        "something behind it": good + b"x" * 100,
        "another archive behind it": good + as_zip(in_dict(b"N")),
        "comment that ends in an archive": _with_comment(good, as_zip(None)),
        "two directory ends": good + good[end:],
        "70,000 entries": as_zip(HARMLESS, {f"data/{item}": b"" for item in range(70_000)}),
        "600 MB of zeros": _bomb("data/0", 600_000_000),
        "600 MB of zeros that the pickle needs": _bomb(
            "data/0", 600_000_000, in_dict(tensor([150_000_000], [1], numel=150_000_000))
        ),
        "100 MB of pickle": _bomb("data.pkl", 100_000_000, None),
        "lzma": as_zip(HARMLESS, {"data/0": zeros}, method=zipfile.ZIP_LZMA),
        "bzip2": as_zip(HARMLESS, {"data/0": zeros}, method=zipfile.ZIP_BZIP2),
        "big endian": as_zip(in_dict(tensor([2], [1])), RECORDS | {"byteorder": b"big"}),
        "unknown byte order": as_zip(in_dict(tensor([2], [1])), RECORDS | {"byteorder": b"mixed"}),
        "unknown version": as_zip(HARMLESS, RECORDS | {"version": b"999\n"}),
        "version of no number": as_zip(HARMLESS, RECORDS | {"version": b"\xff" * 50}),
        "storage missing": as_zip(in_dict(tensor([2], [1])), {"version": b"3\n"}),
        "storage cut short": as_zip(in_dict(tensor([4], [1])), RECORDS | {"data/0": b"1"}),
        "archive in an archive": as_zip(good),
        "two zip64 directories": with_two_directories(as_zip(in_dict(tensor([2], [1]))), good),
        "record of zip64 that contradicts the end": _patch(
            with_zip64(good), (len(with_zip64(good)) - 12, 9)
        ),
        "second name in an extra field": _with_extra(0x7075, b"\1\0\0\0\0archive/version"),
        "two sizes in extra fields": _with_extra(1, bytes(8), times=2),
        "many entries over the same bytes": overlapping(200, 100_000),
        "pickle flipped": bytes(wrapped[:60] + b"\xff" + wrapped[61:]),
    }


def with_zip64(archive: bytes, directory: int | None = None) -> bytes:
    """Write the end of an archive with a zip64 record and a locator, which leads to `directory`."""
    *_, count, length, offset, _ = _END.unpack(archive[-_END.size :])
    record = _END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, offset)
    place = offset + length if directory is None else directory
    locator = _LOCATOR.pack(b"PK\6\7", 0, place, 1)
    return archive[: -_END.size] + record + locator + archive[-_END.size :]


def with_two_directories(loaded: bytes, shown: bytes) -> bytes:
    """Join two archives: the record before the locator is of one, the locator leads to the other.

    Python's reader follows the former, torch's the latter.
    """
    *_, length, offset, _ = _END.unpack(loaded[-_END.size :])
    first = with_zip64(loaded)[: offset + length + _END64.size]
    *_, length_shown, offset_shown, _ = _END.unpack(shown[-_END.size :])
    entries = shown[:offset_shown]
    directory = bytearray(shown[offset_shown : offset_shown + length_shown])
    place = 0
    while place < len(directory):
        sizes = struct.unpack_from("<3H", directory, place + 28)
        start = struct.unpack_from("<L", directory, place + 42)[0]
        struct.pack_into("<L", directory, place + 42, start + len(first))
        place += 46 + sum(sizes)
    end = bytearray(shown[-_END.size :])
    struct.pack_into("<L", end, 16, len(first) + offset_shown)
    return with_zip64(first + entries + bytes(directory) + bytes(end), offset + length)


def overlapping(entries: int, size: int) -> bytes:
    """Name the same bytes many times in the directory, as if each were its own tensor."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", HARMLESS)
        archive.writestr("archive/data/0", bytes(size))
        first = archive.getinfo("archive/data/0")
        for number in range(1, entries):
            entry = zipfile.ZipInfo(f"archive/data/{number}")
            entry.file_size = entry.compress_size = size
            entry.CRC, entry.header_offset = first.CRC, first.header_offset
            archive.filelist.append(entry)
        archive.writestr("archive/version", b"3\n")
    return file.getvalue()


def _with_extra(kind: int, content: bytes, times: int = 1) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", HARMLESS)
        entry = zipfile.ZipInfo("archive/data/0")
        entry.extra = times * (struct.pack("<2H", kind, len(content)) + content)
        archive.writestr(entry, bytes(16))
        archive.writestr("archive/version", b"3\n")
    return file.getvalue()


def _bomb(record: str, size: int, content: bytes | None = HARMLESS) -> bytes:
    """Compress many zeros (as opcodes: nothing that exists) without holding them."""
    file, chunk = io.BytesIO(), bytes(10**6)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        if content is not None:
            archive.writestr("archive/data.pkl", content)
        with archive.open(f"archive/{record}", "w") as entry:
            for _ in range(size // len(chunk)):
                entry.write(chunk)
    return file.getvalue()


def _patch(data: bytes, *changes: tuple[int, int]) -> bytes:
    changed = bytearray(data)
    for place, value in changes:
        struct.pack_into("<H", changed, place, value)
    return bytes(changed)


def _patch32(data: bytes, place: int, *values: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(f"<{len(values)}L", changed, place, *values)
    return bytes(changed)


def _with_comment(data: bytes, comment: bytes) -> bytes:
    return data[:-2] + struct.pack("<H", len(comment)) + comment
