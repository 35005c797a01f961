from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

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
