"""Names, notes and the baseline: kept beside the payloads, which stay as they are."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from analysis.errors import ConfigError, PayloadError
from analysis.payload import annotation_store
from analysis.payload.annotation import MAX_NAME, MAX_NOTE, MAX_TAG, MAX_TAGS, Annotation
from analysis.payload.annotation_store import FILE
from analysis.payload.annotations import (
    MAX_OLD_BYTES,
    OLD_FILE,
    annotate,
    delete_payload,
    load_annotations,
    pin_baseline,
)
from tests import ROOT


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
    said = Annotation("Spring", "first\nsecond line", True, ("mown", "wet meadow"), 0.25)
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
    annotate(payload, Annotation(note="half \ud800", tags=("b\n", "", "a", "b")))
    assert load_annotations().of(payload) == Annotation(note="half ?", tags=("b", "a"))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (Annotation(name="x" * (MAX_NAME + 1)), f"A name may have {MAX_NAME} letters"),
        (Annotation(note="x" * (MAX_NOTE + 1)), f"A note may have {MAX_NOTE} letters"),
        (Annotation(tags=("x" * (MAX_TAG + 1),)), f"A tag may have {MAX_TAG} letters"),
        (Annotation(tags=("x",) * (MAX_TAGS + 1)), f"may have {MAX_TAGS} tags"),
        (Annotation(score=float("nan")), "finite"),
    ],
)
def test_what_is_too_long_or_no_number_is_refused_with_the_limit(
    payload: Path, said: Annotation, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        annotate(payload, said)
    assert load_annotations().of(payload) == Annotation()


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
    assert load_annotations([inner]).baseline == other
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
    (tmp_path / OLD_FILE).write_text(content)
    said = load_annotations()
    assert said.baseline is None
    assert said.of(payload) == Annotation()
    assert all(path.is_relative_to(tmp_path) for path in said.by_path)
    annotate(payload, Annotation(name="new"))
    assert load_annotations().of(payload).name == "new"


def test_the_file_of_earlier_versions_is_taken_over_once_and_kept(
    payload: Path, tmp_path: Path
) -> None:
    other = _write(tmp_path, "v2")
    place = {path: str(path.relative_to(tmp_path)) for path in (payload, other)}
    old = {"payloads": {place[payload]: {"name": "old", "hidden": True}}, "baseline": place[other]}
    (tmp_path / OLD_FILE).write_text(json.dumps(old))
    assert load_annotations().of(payload) == Annotation("old", hidden=True)
    annotate(other, Annotation("new"))
    (tmp_path / OLD_FILE).write_text(json.dumps(old).replace('"old"', '"later"'))
    for _ in range(2):
        said = load_annotations()
        assert (said.of(payload).name, said.of(other).name) == ("old", "new")
        assert said.baseline == other
        pin_baseline(other)


def test_an_earlier_file_beyond_the_limit_keeps_names_from_being_started_anew(
    payload: Path, tmp_path: Path
) -> None:
    (tmp_path / OLD_FILE).write_text(" " * (MAX_OLD_BYTES + 1))
    assert str(OLD_FILE) in load_annotations().problems[0]
    with pytest.raises(ConfigError, match="Repair the file"):
        annotate(payload, Annotation(name="x"))
    assert (tmp_path / OLD_FILE).stat().st_size == MAX_OLD_BYTES + 1
    assert load_annotations().problems


def test_an_earlier_file_of_more_payloads_than_can_be_kept_is_refused_at_once(
    payload: Path, tmp_path: Path
) -> None:
    known = {f"{number:x}": {} for number in range(annotation_store.MAX_ROWS + 1)}
    (tmp_path / OLD_FILE).write_text(json.dumps({"payloads": known}))
    assert "are the most" in load_annotations().problems[0]
    with pytest.raises(ConfigError, match="are the most"):
        annotate(payload, Annotation(name="x"))


def _refusal(path: Path, note: str) -> str:
    try:
        annotate(path, Annotation(note=note))
    except ConfigError as error:
        return str(error)
    return ""


def test_a_change_beyond_the_limit_is_refused_and_nothing_is_lost(
    payload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotation_store, "MAX_BYTES", 100_000)
    note = "\u6ce8" * MAX_NOTE
    paths = [tmp_path / "outputs" / f"{number}.pt" for number in range(40)]
    refused = [path for path in paths if "shorten notes" in _refusal(path, note)]
    said = load_annotations()
    assert [path for path in paths if said.of(path).note != note] == refused
    assert 5 < len(refused) < 35
    annotate(paths[0], Annotation(note="short"))
    assert load_annotations().of(paths[0]).note == "short"


def test_two_servers_that_change_two_fields_of_one_payload_lose_nothing(
    payload: Path, tmp_path: Path
) -> None:
    script = (
        "import sys, pathlib\n"
        "from analysis.payload.annotations import Annotation, annotate\n"
        "path, before = pathlib.Path(sys.argv[1]), Annotation()\n"
        "for n in range(10):\n"
        "    annotate(path, Annotation(tags=(f'{sys.argv[2]}{n}',)), before=before)\n"
        "annotate(path, Annotation(**{sys.argv[3]: 'x'}), before=before)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    others = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(payload), *words], cwd=tmp_path, env=environment
        )
        for words in (("a", "name"), ("b", "note"))
    ]
    assert [other.wait() for other in others] == [0, 0]
    said = load_annotations().of(payload)
    assert (said.name, said.note) == ("x", "x")
    assert set(said.tags) == {f"{letter}{n}" for letter in "ab" for n in range(10)}


def test_sessions_that_write_at_once_lose_nothing(payload: Path, tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from analysis.payload.annotations import Annotation, annotate\n"
        "for n in range(8):\n"
        "    annotate(pathlib.Path(f'outputs/{sys.argv[1]}-{n}.pt'), Annotation('x'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    others = [
        subprocess.Popen([sys.executable, "-c", script, str(n)], cwd=tmp_path, env=environment)
        for n in range(2)
    ]
    threads = [
        threading.Thread(target=annotate, args=(tmp_path / f"outputs/t{n}.pt", Annotation("x")))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait() for other in others] == [0, 0]
    assert len(load_annotations().by_path) == 24


def test_a_change_whose_writer_is_killed_is_undone(payload: Path, tmp_path: Path) -> None:
    annotate(payload, Annotation("before"))
    script = (
        "import os, sqlite3\n"
        f"database = sqlite3.connect({str(FILE)!r}, isolation_level=None)\n"
        "database.execute('PRAGMA cache_size = 1')\n"  # so that pages are written before the end
        "database.execute('BEGIN IMMEDIATE')\n"
        "database.execute(\"UPDATE payloads SET name = 'half'\")\n"
        "for n in range(99):\n"
        "    row = (str(n).encode(), 'x', 'y' * 2000, 0, '[]', None)\n"
        "    database.execute('INSERT INTO payloads VALUES (?, ?, ?, ?, ?, ?)', row)\n"
        "os.kill(os.getpid(), 9)"
    )
    size = (tmp_path / FILE).stat().st_size
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path).returncode == -9
    assert (tmp_path / FILE).stat().st_size > size  # it was killed in the middle
    assert load_annotations().by_path == {payload: Annotation("before")}


def test_a_full_disk_loses_nothing(payload: Path, tmp_path: Path) -> None:
    annotate(payload, Annotation("before"))
    script = (
        "import pathlib, resource, signal\n"
        "from analysis.payload.annotations import Annotation, annotate\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "for n in range(20): annotate(pathlib.Path(f'outputs/{n}.pt'), Annotation(note='x' * 2000))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert "ConfigError" in done.stderr
    assert f"{FILE}: names and notes cannot be written" in done.stderr
    said = load_annotations()
    assert said.of(payload).name == "before"
    assert said.problems == ()
    annotate(payload, Annotation("after"))


def _poison(path: Path, how: str) -> None:
    if how == "pipe":
        os.mkfifo(path)
        return
    if how in ("text", "half", "log ahead"):
        annotate(path.parent / "x.pt", Annotation("x"))
        content = bytearray(path.read_bytes())
        content[18:20] = b"\2\2" if how == "log ahead" else content[18:20]
        content[100 if how == "half" else 4096 :] = b"\xff" * (len(content) - 100)
        path.write_bytes(b"what" if how == "text" else content)
        return
    numbers = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT"
    scripts = {
        "view": f"CREATE VIEW payloads AS {numbers} x'61' path, x name, 1 note, 1 hidden, 1 tags, "
        "1 score FROM n; CREATE TABLE settings (key, value);",
        "trigger": f"{';'.join(annotation_store.TABLES)}; "
        "CREATE TRIGGER t AFTER INSERT ON payloads BEGIN DELETE FROM payloads; END;",
        "later version": "PRAGMA user_version = 7",
        "other tables": "CREATE TABLE payloads (path)",
    }
    with sqlite3.connect(path) as database:
        database.executescript(scripts[how])
    database.close()


@pytest.mark.parametrize(
    "how",
    ["pipe", "text", "half", "log ahead", "view", "trigger", "later version", "other tables"],
)
def test_a_database_of_somebody_else_is_one_sentence_and_stays_as_it_is(
    payload: Path, tmp_path: Path, how: str
) -> None:
    _poison(tmp_path / FILE, how)
    before = None if how == "pipe" else (tmp_path / FILE).read_bytes()
    [problem] = load_annotations().problems
    assert problem.startswith(f"{tmp_path / FILE}: names and notes cannot be read")
    with pytest.raises(ConfigError, match="names and notes cannot be written"):
        annotate(payload, Annotation("x"))
    assert before is None or (tmp_path / FILE).read_bytes() == before


def test_values_that_nobody_can_have_written_here_are_left_out(
    payload: Path, tmp_path: Path
) -> None:
    annotate(payload, Annotation("good"))
    key = os.fsencode(payload.relative_to(tmp_path))
    rows = [
        (b"../x", "x", None, 0, "[]", None),
        (b"/etc/x", "x", None, 0, "[]", None),
        ("outputs/text", "x", None, 0, "[]", None),
        (b"a" * 2000, "x", None, 0, "[]", None),
        (key, b"\xff\xfe", b"7", "yes", "[" * 100_000, float("inf")),
    ]
    with sqlite3.connect(tmp_path / FILE) as database:
        for row in rows:
            database.execute("REPLACE INTO payloads VALUES (?, ?, ?, ?, ?, ?)", row)
        database.execute("REPLACE INTO settings VALUES ('baseline', ?)", (b"../../x",))
    database.close()
    said = load_annotations()
    assert said.by_path == {payload: Annotation()}
    assert (said.baseline, said.problems) == (None, ())


def test_a_journal_that_names_another_file_does_not_remove_it(
    payload: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    annotate(payload, Annotation("x"))
    victim = tmp_path_factory.mktemp("outside") / "profile"
    victim.write_text("export A=1")
    magic, name = bytes.fromhex("d9d505f920a163d7"), os.fsencode(victim)
    pages = (tmp_path / FILE).stat().st_size // 4096
    header = magic + b"".join(n.to_bytes(4, "big") for n in (0, 1, pages, 512, 4096))
    end = (1 + 2**30 // 4096).to_bytes(4, "big") + name + len(name).to_bytes(4, "big")
    end += (sum(name) & 0xFFFFFFFF).to_bytes(4, "big") + magic
    journal = (tmp_path / FILE).with_name(f"{FILE.name}-journal")
    journal.write_bytes(header.ljust(512, b"\0") + end)
    assert "journal" in load_annotations().problems[0]
    assert victim.exists()


@pytest.mark.parametrize("name", [FILE.name, f"{FILE.name}-journal", OLD_FILE.name])
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
    os.mkfifo(tmp_path / OLD_FILE)
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


def test_names_are_read_without_asking_the_disk_for_each(
    payload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {f"{n:x}": {} for n in range(1000)} | {"../x": {}, "/etc/x": {}}
    (tmp_path / OLD_FILE).write_text(json.dumps({"payloads": names}))
    annotate(payload, Annotation("x"))
    resolve, asked = Path.resolve, []

    def note(path: Path, strict: bool = False) -> Path:
        asked.append(path)
        return resolve(path, strict)

    monkeypatch.setattr(Path, "resolve", note)
    found = load_annotations([tmp_path]).by_path
    assert len(found) == 1001
    assert all(path.is_relative_to(tmp_path) for path in found)
    assert len(asked) < 10


def test_more_payloads_than_can_be_read_are_refused(
    payload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotation_store, "MAX_ROWS", 2)
    for n in range(2):
        annotate(tmp_path / f"{n}.pt", Annotation("x"))
    with pytest.raises(ConfigError, match="up to 2 payloads"):
        annotate(payload, Annotation("x"))
    assert len(load_annotations().by_path) == 2
    monkeypatch.setattr(annotation_store, "MAX_ROWS", 1)
    assert "up to 1 payloads" in load_annotations().problems[0]
