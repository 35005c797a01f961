"""Lists of very many images open like short ones."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.errors import PayloadError
from analysis.payload.image_paths import MAX_LISTED, pack_paths, unpack_paths
from analysis.payload.reading import open_payload
from tests.factories.payloads import make_payload


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DASHBOARD_CACHE", str(tmp_path / "cache"))


def save(path: Path, paths: object) -> Path:
    payload = make_payload(layers=2, channels=4, extras=True)
    payload["extras"]["images"]["paths"] = paths
    torch.save(payload, path)
    return path


def test_few_paths_stay_a_list() -> None:
    paths = ["a.jpg", "b c.jpg", "\u00e4.jpg"]
    assert pack_paths(paths) == paths
    assert unpack_paths(paths) == paths
    assert unpack_paths(None) == []


def test_a_payload_of_a_million_images_opens_with_every_path(tmp_path: Path) -> None:
    paths = [f"p\u00e4dd\nock/{index:07d}.jpg" for index in range(10**6)]
    packed = pack_paths(paths)
    assert isinstance(packed, np.ndarray)
    path = save(tmp_path / "x.pt", torch.from_numpy(packed))
    began = time.process_time()
    open_payload(path)
    for _ in range(2):  # the second time from the cache
        assert open_payload(path).extras.image_paths == tuple(paths)
    print(f"{time.process_time() - began:.1f} s")


def test_the_longest_list_that_is_not_packed_opens_too(tmp_path: Path) -> None:
    paths = [f"paddock/ID{index:012d}.jpg" for index in range(MAX_LISTED)]
    assert isinstance(pack_paths(paths), list)
    assert open_payload(save(tmp_path / "x.pt", paths)).extras.image_paths == tuple(paths)


def test_a_list_of_a_million_paths_is_refused_by_name(tmp_path: Path) -> None:
    path = save(tmp_path / "x.pt", [str(index) for index in range(10**6)])
    with pytest.raises(PayloadError, match="steps to read"):
        open_payload(path)


@pytest.mark.parametrize(
    "paths",
    [
        pytest.param(torch.zeros(4), id="floats"),
        pytest.param(torch.zeros(2, 2, dtype=torch.uint8), id="two axes"),
        pytest.param("abc", id="one text"),
        pytest.param([1, 2], id="numbers"),
    ],
)
def test_what_is_no_list_of_paths_is_named(tmp_path: Path, paths: object) -> None:
    with pytest.raises(PayloadError, match=r"extras\.images\.paths"):
        _ = open_payload(save(tmp_path / "x.pt", paths)).extras


def test_bytes_that_are_no_text_become_marks(tmp_path: Path) -> None:
    packed = torch.tensor([255, 65, 0, 66], dtype=torch.uint8)
    assert open_payload(save(tmp_path / "x.pt", packed)).extras.image_paths == ("\ufffdA", "B")
