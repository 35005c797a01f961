"""An index leads to the numbers of its payload, and is not believed for any other."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.payload.fingerprint import fingerprint_file
from analysis.payload.index import (
    Index,
    _check_sum,
    _list_shapes,
    index_path,
    is_index,
    open_index,
    save_index,
)
from analysis.payload.reading import Reading, open_payload
from analysis.vocabulary import ROLES, Representation
from tests.factories.grouped_payloads import make_grouped_pair
from tests.factories.payloads import make_payload, write_payload

PRE = Representation.PRE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write a payload with image groups, and its index."""
    payload = write_payload(tmp_path / "feature_stats" / "a.pt", make_grouped_pair()[0])
    save_index(payload, read(payload), "in short")
    return payload


def read(path: Path) -> Reading:
    return open_payload(path, keep=False)


def index_of(path: Path) -> Index | None:
    return open_index(fingerprint_file(path))


def test_statistics_groups_and_meta_are_those_of_the_payload(path: Path) -> None:
    index, whole = index_of(path), read(path)
    assert index is not None
    assert index.summary == "in short"
    assert index.reading.meta == whole.meta
    np.testing.assert_array_equal(index.reading.table.counts, whole.table.counts)
    values = index.reading.table.values
    np.testing.assert_array_equal(values[:, PRE.position], whole.table.values[:, PRE.position])
    assert np.isnan(np.delete(values, PRE.position, axis=1)).all()
    for layer in whole.table.layers.tolist():
        for role in ROLES:
            found = index.reading.extras.groups(layer, PRE, role)
            expected = whole.extras.groups(layer, PRE, role)
            assert found is not None
            assert expected is not None
            for key in ("count", "mean", "std"):
                np.testing.assert_array_equal(getattr(found, key), getattr(expected, key))


def test_a_payload_without_groups_has_an_index_without_them(tmp_path: Path) -> None:
    path = write_payload(tmp_path / "feature_stats" / "a.pt", make_payload())
    save_index(path, read(path), "")
    index = index_of(path)
    assert index is not None
    assert index.reading.extras.groups(0, PRE, ROLES[0]) is None


def test_a_copy_keeps_its_index(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "b.pt"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    shutil.copy(index_path(path), index_path(copy))
    os.utime(copy, (0, 0))
    assert index_of(copy) is not None


def test_the_index_of_another_payload_of_the_same_size_is_not_read(path: Path) -> None:
    size = path.stat().st_size
    write_payload(path, make_grouped_pair(seed=7)[0])
    assert path.stat().st_size == size
    assert index_of(path) is None


def test_numbers_that_changed_on_the_disk_are_not_read(path: Path) -> None:
    about = json.loads(index_path(path).read_text())
    with path.open("r+b") as file:
        file.seek(about["offsets"][5])
        file.write(b"\1\2\3\4")
    assert index_of(path) is None


@pytest.mark.parametrize(
    "change",
    [
        {"offsets": [1]},
        {"offsets": None},
        {"layers": [3, 2, 1, 0]},
        {"channels": 2**40},
        {"groups": -1},
        {"counts": "many"},
        {"end": -5},
        {"meta": 7},
        {"meta": {}},
        {"layers": [2**40, 2**40 + 1, 2**40 + 2, 2**40 + 3]},
        {"counts": [[-1, 5]] * 4},
        {"summary": "\ud800"},
        {"note": "x" * 2**22},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_damaged_index_is_as_good_as_none(path: Path, change: dict[str, Any]) -> None:
    about = json.loads(index_path(path).read_text()) | change
    index_path(path).write_text(json.dumps(about))
    assert index_of(path) is None


def test_numbers_that_no_payload_may_have_are_not_read(path: Path) -> None:
    about = json.loads(index_path(path).read_text())
    shapes = _list_shapes(len(about["layers"]), about["channels"], about["groups"])
    about["offsets"][1] = about["offsets"][0]  # means in the place of standard deviations
    with path.open("rb", buffering=0) as file:
        about["crc32"] = _check_sum(file, about["offsets"], shapes)
    index_path(path).write_text(json.dumps(about))
    assert (read(path).table.values[0, PRE.position, 0, 0] < 0).any()
    assert index_of(path) is None


def test_only_an_index_is_taken_for_one(path: Path, tmp_path: Path) -> None:
    (tmp_path / "own.index").write_text("a book's index")
    assert is_index(index_path(path))
    assert not is_index(tmp_path / "own.index")
