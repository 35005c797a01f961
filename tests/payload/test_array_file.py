from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.payload.array_file import DAMAGED, ArrayFile

ARRAYS = {"a": np.arange(12, dtype=np.float32).reshape(2, 6), "b": np.array([], np.int64)}


def _write(path: Path) -> bytes:
    np.savez(path, allow_pickle=False, **ARRAYS)
    return path.read_bytes()


def test_whatever_bit_turns_the_arrays_are_as_written_or_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    content = _write(path)
    outcomes = {"read": 0, "damaged": 0}
    for place in range(8 * len(content)):
        turned = bytearray(content)
        turned[place // 8] ^= 1 << place % 8
        path.write_bytes(turned)
        try:
            with ArrayFile(path) as file:
                if file.names != ARRAYS.keys():
                    raise ValueError("other names, which the caller compares")
                for name, array in ARRAYS.items():
                    found = file.read(name)
                    assert (found.dtype, found.shape) == (array.dtype, array.shape), place
                    assert found.tobytes() == array.tobytes(), place
            outcomes["read"] += 1
        except DAMAGED:
            outcomes["damaged"] += 1
    assert outcomes["damaged"] > outcomes["read"] > 0


def test_compressed_arrays_links_and_pipes_are_damage(tmp_path: Path) -> None:
    _write(tmp_path / "x.npz")
    np.savez_compressed(tmp_path / "small.npz", a=np.zeros(10**6))
    (tmp_path / "link.npz").symlink_to(tmp_path / "x.npz")
    os.mkfifo(tmp_path / "pipe.npz")
    for name in ("small", "link", "pipe"):
        with pytest.raises((ValueError, OSError, zipfile.BadZipFile)):
            ArrayFile(tmp_path / f"{name}.npz")


def test_a_row_is_that_of_the_array_first_and_later(tmp_path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {
        f"a/{n}": np.arange(60, dtype=np.float32).reshape(5, 3, 4) + n for n in range(3)
    }
    arrays["counts"] = np.arange(5)
    arrays["turned"] = np.asfortranarray(arrays["a/0"])
    np.savez(tmp_path / "x.npz", allow_pickle=False, **arrays)
    with ArrayFile(tmp_path / "x.npz") as file:
        for index in (3, 0, 4, -1):
            for name, array in arrays.items():
                row = file.read_row(name, index)
                assert row.dtype == array.dtype
                np.testing.assert_array_equal(row, array[index])
        with pytest.raises(IndexError):
            file.read_row("counts", 5)


def test_only_the_first_row_of_an_array_reads_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    content = bytearray(_write(path))
    place = content.index(ARRAYS["a"][1].tobytes())
    with ArrayFile(path) as early, path.open("r+b") as file:
        early.read_row("a", 0)
        file.seek(place)
        file.write(b"\x7f")
        file.flush()
        np.testing.assert_array_equal(early.read_row("a", 0), ARRAYS["a"][0])
        with ArrayFile(path) as late, pytest.raises(DAMAGED):
            late.read_row("a", 0)
        file.truncate(place)
        with pytest.raises(DAMAGED):
            early.read_row("a", 1)
