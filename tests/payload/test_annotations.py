"""Names, notes and the baseline: kept beside the payloads, which stay as they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from analysis.errors import ConfigError, PayloadError
from analysis.payload.annotations import (
    FILE,
    MAX_BYTES,
    MAX_NAME,
    MAX_NOTE,
    Annotation,
    annotate,
    delete_payload,
    load_annotations,
    pin_baseline,
)


@pytest.fixture
def payload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return _write(tmp_path, "v1")


def _write(root: Path, version: str) -> Path:
    path = root / "outputs" / version / "feature_stats" / "stats.pt"
    path.parent.mkdir(parents=True)
    for suffix in (".pt", ".json", ".log"):
        path.with_suffix(suffix).write_text(version)
    return path


def test_what_is_said_is_read_again_and_the_payload_is_untouched(payload: Path) -> None:
    before = payload.stat()
    said = Annotation(name="Spring", note="first\nsecond line", hidden=True)
    annotate(payload, said)
    assert load_annotations().of(payload) == said
    assert (payload.read_text(), payload.stat().st_mtime_ns) == ("v1", before.st_mtime_ns)


def test_of_a_payload_that_nobody_named_nothing_is_said(payload: Path) -> None:
    assert load_annotations().of(payload) == Annotation()


def test_what_is_said_of_one_payload_leaves_the_others(payload: Path, tmp_path: Path) -> None:
    other = _write(tmp_path, "v2")
    annotate(payload, Annotation(name="one"))
    annotate(other, Annotation(name="two"))
    annotate(payload, Annotation(note="only a note now"))
    said = load_annotations()
    assert said.of(other).name == "two"
    assert said.of(payload) == Annotation(note="only a note now")


def test_a_payload_in_a_folder_whose_name_is_no_text_can_be_named(
    payload: Path, tmp_path: Path
) -> None:
    version = _write(tmp_path, "v2").parents[1]
    other = version.rename(version.with_name("v\udcff")) / "feature_stats" / "stats.pt"
    annotate(other, Annotation("odd"))
    annotate(payload, Annotation("even"))
    assert load_annotations().of(other).name == "odd"


def test_a_name_is_one_line_of_printable_text(payload: Path) -> None:
    annotate(payload, Annotation(name=" a\n\x1b[31mb \t c ", note="  "))
    assert load_annotations().of(payload) == Annotation(name="a [31mb c")


def test_a_name_that_is_too_long_is_refused_with_the_limit(payload: Path) -> None:
    with pytest.raises(ConfigError, match=f"may have {MAX_NAME} letters"):
        annotate(payload, Annotation(name="x" * (MAX_NAME + 1)))


def test_there_is_one_baseline_in_all_roots(
    payload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "inner"
    other = _write(inner, "v9")
    monkeypatch.setenv("DASHBOARD_ROOTS", str(inner))
    pin_baseline(payload)
    assert load_annotations().baseline == payload
    pin_baseline(other)
    assert load_annotations().baseline == other
    assert json.loads((inner / FILE).read_text())["baseline"] == "outputs/v9/feature_stats/stats.pt"
    pin_baseline(None)
    assert load_annotations().baseline is None


def test_deleting_takes_the_files_beside_it_and_what_was_said(
    payload: Path, tmp_path: Path
) -> None:
    other = _write(tmp_path, "v2")
    annotate(payload, Annotation(name="one"))
    annotate(other, Annotation(name="two"))
    pin_baseline(payload)
    delete_payload(payload, being_written=())
    assert list(payload.parent.iterdir()) == []
    said = load_annotations()
    assert (said.of(payload), said.baseline) == (Annotation(), None)
    assert said.of(other).name == "two"
    assert other.exists()


@pytest.mark.parametrize("name", ["outputs/other.pt", "outputs/v1/feature_stats/stats.json"])
def test_only_payloads_are_deleted(payload: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text("keep")
    with pytest.raises(PayloadError, match="no payload here"):
        delete_payload(file, being_written=())
    assert file.exists()


def test_nothing_outside_the_roots_is_named_or_deleted(
    payload: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = _write(tmp_path_factory.mktemp("outside"), "v1")
    link = payload.with_name("link.pt")
    link.symlink_to(outside)
    for path in (outside, link):
        with pytest.raises(ConfigError, match="outside"):
            delete_payload(path, being_written=())
        with pytest.raises(ConfigError, match="outside"):
            annotate(path, Annotation(name="mine"))
    assert outside.exists()


def test_a_read_only_server_changes_nothing(payload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    for change in (lambda: annotate(payload, Annotation(name="x")), lambda: pin_baseline(payload)):
        with pytest.raises(ConfigError, match="read-only"):
            change()
    with pytest.raises(ConfigError, match="read-only"):
        delete_payload(payload, being_written=())
    assert payload.exists()
    assert not (payload.parents[2] / FILE.name).exists()


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        "[]",
        '{"payloads": []}',
        '{"payloads": {"../../x.pt": {"name": "x"}, "a\\u0000": {}}, "baseline": "../../x.pt"}',
        '{"payloads": {"outputs/v1/feature_stats/stats.pt": {"name": 3, "hidden": "yes"}}}',
    ],
)
def test_a_damaged_or_hostile_file_says_nothing_and_can_be_written_over(
    payload: Path, tmp_path: Path, content: str
) -> None:
    (tmp_path / FILE).write_text(content)
    said = load_annotations()
    assert said.baseline is None
    assert said.of(payload) == Annotation()
    assert all(path.is_relative_to(tmp_path) for path in said.by_path)
    annotate(payload, Annotation(name="new"))
    assert load_annotations().of(payload).name == "new"


def annotate_many(folder: Path, note: str) -> None:
    for number in range(30):
        annotate(folder / f"more{number}.pt", Annotation(note=note))


def test_a_change_beyond_the_limit_is_refused_and_nothing_is_lost(
    payload: Path, tmp_path: Path
) -> None:
    note = "\u6ce8" * MAX_NOTE
    entries = {f"outputs/{n}.pt": {"note": note} for n in range(MAX_BYTES // 6_100)}
    (tmp_path / FILE).write_text(json.dumps({"payloads": entries}, ensure_ascii=False))
    with pytest.raises(ConfigError, match="Shorten notes"):
        annotate_many(tmp_path / "outputs", note)
    found = load_annotations().by_path
    assert {tmp_path / key for key in entries} <= found.keys()


def test_a_file_beyond_the_limit_is_not_overwritten(payload: Path, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(" " * (MAX_BYTES + 1))
    assert load_annotations().by_path == {}
    with pytest.raises(ConfigError, match="Repair the file"):
        annotate(payload, Annotation(name="x"))
    assert (tmp_path / FILE).stat().st_size == MAX_BYTES + 1


def test_a_damaged_file_is_kept_beside_the_new_one(payload: Path, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"payloads": {"a": ')
    for name in ("one", "two"):
        annotate(payload, Annotation(name=name))
    assert (tmp_path / f"{FILE}.bak").read_text() == '{"payloads": {"a": '


@pytest.mark.parametrize("name", [FILE.name, ".dashboard.lock"])
@pytest.mark.parametrize("exists", [True, False])
def test_names_are_never_written_through_a_link(
    payload: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, name: str, exists: bool
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "profile"
    if exists:
        outside.write_text("{}")
    (tmp_path / "outputs" / name).symlink_to(outside)
    with pytest.raises(ConfigError):
        annotate(payload, Annotation(name="x"))
    assert outside.read_text() == "{}" if exists else not outside.exists()


def test_a_pipe_in_place_of_the_names_keeps_nobody_waiting(payload: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE)
    assert load_annotations().of(payload) == Annotation()


def test_a_folder_of_outputs_that_leads_elsewhere_is_not_written(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outside = tmp_path_factory.mktemp("outside")
    (tmp_path / "outputs").symlink_to(outside)
    with pytest.raises(ConfigError, match="outside the folders"):
        annotate(tmp_path / "feature_stats" / "a.pt", Annotation(name="x"))
    assert list(outside.iterdir()) == []


def test_a_hundred_thousand_names_are_read_without_asking_the_disk(
    payload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {f"{n:x}": {} for n in range(100_000)} | {"../x": {}, "/etc/x": {}}
    (tmp_path / FILE).write_text(json.dumps({"payloads": names}))
    monkeypatch.setattr(Path, "resolve", None)
    found = load_annotations([tmp_path]).by_path
    assert len(found) == 100_000
    assert all(path.is_relative_to(tmp_path) for path in found)
