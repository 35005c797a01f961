from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.errors import PartAbsentError, PayloadError
from analysis.files.cache_folder import CACHE_ENV
from analysis.payload import array_cache, file, reading
from analysis.payload.extras import Part
from analysis.payload.fingerprint import fingerprint_file
from analysis.payload.reading import Reading, build_reading, open_payload
from analysis.vocabulary import Representation, TokenRole
from tests.factories.payloads import make_payload, make_table, write_payload


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE_ENV, str(folder))
    return folder


def test_table_and_extras_come_from_one_reading_of_the_file(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, loaded = write_payload(tmp_path / "a.pt", make_payload(extras=True)), []
    load = file.load_payload
    monkeypatch.setattr(file, "load_payload", lambda path: loaded.append(path) or load(path))
    for _ in range(2):
        found = open_payload(path)
        assert found.table.num_layers == 4
        assert all(found.extras.has(part) for part in Part)
    assert loaded == [path]
    assert len(list(cache.iterdir())) == 1


def test_a_payload_in_memory_and_its_file_are_read_alike(tmp_path: Path) -> None:
    payload = make_payload(extras=True)
    here, there = build_reading(payload), open_payload(write_payload(tmp_path / "a.pt", payload))
    np.testing.assert_array_equal(here.table.values, there.table.values)
    assert here.meta == there.meta
    assert set(here.extras.parts) <= set(there.extras.parts)
    for name, values in here.extras.parts.items():
        np.testing.assert_array_equal(values, there.extras.parts[name])
    assert here.extras.image_paths == there.extras.image_paths


@pytest.mark.parametrize("cached", [True, False])
def test_what_is_shared_cannot_be_written_to(tmp_path: Path, cache: Path, *, cached: bool) -> None:
    if not cached:
        cache.write_text("a file where the folder should be")
    found = open_payload(write_payload(tmp_path / "a.pt", make_payload(extras=True)))
    top = found.extras.top()
    assert top is not None
    for array in (found.table.values, found.table.counts, found.table.layers, top):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize("times", [1, 2])
def test_broken_extras_do_not_keep_the_table_from_being_read(tmp_path: Path, times: int) -> None:
    payload = make_payload(extras=True)
    del payload["extras"]["layers"][1]["range"]["pre"]["cls"]["min"]
    path = write_payload(tmp_path / "a.pt", payload)
    found = open_payload(path)
    for _ in range(times - 1):  # the second time from the cache
        found = open_payload(path)
    assert found.table.channels == 48
    with pytest.raises(PayloadError, match=r"a\.pt: extras\.layers\.1\.range\.pre\.cls\.min"):
        _ = found.extras


def test_a_part_that_is_required_is_there_or_says_why_not(tmp_path: Path) -> None:
    bare = open_payload(write_payload(tmp_path / "a.pt", make_payload()))
    with pytest.raises(PartAbsentError, match="does not hold histograms of token norms"):
        bare.require(Part.NORM_HIST)
    with pytest.raises(PartAbsentError, match="does not hold the three largest"):
        bare.extras.require(Part.TOP, bare.extras.top())
    whole = build_reading(make_payload(extras=True))
    assert whole.require(*Part) is whole.extras


def test_a_table_alone_has_no_parts() -> None:
    assert not any(Reading(make_table()).extras.has(part) for part in Part)


def test_samples_of_earlier_versions_are_passed_over(tmp_path: Path) -> None:
    payload: dict[str, Any] = make_payload(extras=True)
    payload["extras"]["samples"] = {0: {"cls": payload["layers"][0]["pre"]["cls"]["mean"]}}
    found = open_payload(write_payload(tmp_path / "a.pt", payload))
    assert not any("samples" in name for name in found.extras.parts)
    assert found.extras.has(Part.EXCEED)


def test_bytes_that_turned_in_the_cache_are_read_from_the_payload_in_the_same_visit(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_payload(tmp_path / "a.pt", make_payload(extras=True))
    first = open_payload(path)
    top = first.extras.require(Part.TOP, first.extras.top())
    (cached,) = cache.iterdir()
    content = cached.read_bytes()
    at = content.index(top.tobytes())
    cached.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    extras = open_payload(path).extras
    np.testing.assert_array_equal(extras.top(), top)
    np.testing.assert_array_equal(extras.argmax("cls"), first.extras.argmax("cls"))
    assert "damaged file of the cache" in caplog.text
    assert cached.read_bytes() == content


def test_image_groups_that_turned_in_the_cache_are_read_from_the_payload(
    tmp_path: Path, cache: Path
) -> None:
    cell = 1, Representation.PRE, TokenRole.PATCH
    path = write_payload(tmp_path / "a.pt", make_payload(extras=True))
    first = open_payload(path).extras.groups(*cell)
    assert first is not None
    (cached,) = cache.iterdir()
    content = cached.read_bytes()
    at = content.index(first.mean.astype(np.float32).tobytes())
    cached.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    extras = open_payload(path).extras
    assert "groups/pre/patch/mean" in extras.parts
    assert cached.read_bytes() != content  # to ask for a name reads and mends nothing
    again = extras.groups(*cell)
    assert again is not None
    np.testing.assert_array_equal(again.mean, first.mean)
    assert cached.read_bytes() == content


def test_a_header_that_asks_for_less_in_the_cache_is_damage(tmp_path: Path, cache: Path) -> None:
    path = write_payload(tmp_path / "a.pt", make_payload(extras=True))
    whole = open_payload(path).extras.norm_hist(Representation.PRE, "cls")
    (cached,) = cache.iterdir()
    content = cached.read_bytes()
    assert b"(4, 66)" in content
    cached.write_bytes(content.replace(b"(4, 66)", b"(4, 64)"))
    again = open_payload(path).extras.norm_hist(Representation.PRE, "cls")
    np.testing.assert_array_equal(again, whole)


def test_a_name_that_turned_in_the_cache_is_not_a_part_that_was_never_measured(
    tmp_path: Path, cache: Path
) -> None:
    path = write_payload(tmp_path / "a.pt", make_payload(extras=True))
    assert open_payload(path).extras.has(Part.TOP)
    (cached,) = cache.iterdir()
    cached.write_bytes(cached.read_bytes().replace(b"top.npy", b"tnp.npy"))
    assert open_payload(path).extras.has(Part.TOP)


def test_a_damaged_cache_of_a_payload_that_was_replaced_gives_no_numbers_of_another(
    tmp_path: Path, cache: Path
) -> None:
    path = write_payload(tmp_path / "a.pt", make_payload(extras=True))
    open_payload(path)
    (cached,) = cache.iterdir()
    cached.write_bytes(cached.read_bytes().replace(b"(4, 66)", b"(4, 64)"))
    extras = open_payload(path).extras
    write_payload(path, make_payload(extras=True, seed=1))
    with pytest.raises(PayloadError, match="was replaced while it was shown"):
        extras.norm_hist(Representation.PRE, "cls")


def test_a_file_that_changes_while_it_is_read_is_not_cached(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_payload(tmp_path / "a.pt", make_payload())
    build = reading.build_table

    def build_late(payload: dict[str, Any]) -> Any:
        os.utime(path, ns=(1, 1))
        return build(payload)

    monkeypatch.setattr(reading, "build_table", build_late)
    assert open_payload(path).fingerprint is None
    assert not cache.exists()


def test_the_oldest_cached_payloads_make_room_for_new_ones(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_payload(tmp_path / f"{n}.pt", make_payload(seed=n)) for n in range(3)]
    open_payload(paths[0])
    (size,) = (path.stat().st_size for path in cache.iterdir())
    monkeypatch.setattr(array_cache, "MAX_BYTES", int(2.5 * size))
    for path in paths[1:]:
        open_payload(path)
    kept = {array_cache.cache_path(fingerprint_file(path)) for path in paths[1:]}
    assert set(cache.iterdir()) == kept


def test_a_link_and_its_file_have_one_fingerprint(tmp_path: Path) -> None:
    path, link = tmp_path / "a.pt", tmp_path / "b.pt"
    path.write_bytes(b"abc")
    link.symlink_to(path)
    state = path.stat()
    assert fingerprint_file(link) == (str(path.resolve()), 3, state.st_mtime_ns)


@pytest.mark.parametrize("path", ["gone.pt", "a\0b.pt"])
def test_what_has_no_fingerprint_is_named(path: str) -> None:
    with pytest.raises(PayloadError, match=r"cannot be read|is not a usable path"):
        fingerprint_file(path)
