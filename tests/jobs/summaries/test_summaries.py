"""Summaries are computed once per file, by whoever comes first, and never for ever."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path

import pytest

from analysis.jobs import summaries
from analysis.jobs.summaries import find_summaries, is_running, make_entries, runs, start_missing
from analysis.jobs.summaries.folder import REQUEST_FILE, at_hand_path, work_folder
from analysis.jobs.summaries.store import MAX_ENTRIES, save_entries, store_path
from analysis.payload.fingerprint import Fingerprint, fingerprint_file
from analysis.payload.index import save_index
from analysis.payload.reading import Reading, open_payload
from analysis.read.compare.comparison import compare
from analysis.read.summary import compare_summary, summarize, to_json
from tests.factories.grouped_payloads import make_grouped_pair
from tests.factories.payloads import write_payload
from tests.factories.vectors import LAYER, write_with_vectors


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Fingerprint, Fingerprint]:
    """Write two payloads; return the fingerprints of baseline and version."""
    monkeypatch.setenv("DASHBOARD_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "feature_stats"
    paths = [
        write_payload(folder / f"{name}.pt", payload)
        for name, payload in zip("ab", make_grouped_pair(), strict=True)
    ]
    return fingerprint_file(paths[0]), fingerprint_file(paths[1])


def _wait() -> None:
    deadline = time.monotonic() + 120
    while is_running() and time.monotonic() < deadline:
        time.sleep(0.1)


def read(file: Fingerprint) -> Reading:
    return open_payload(Path(file[0]), keep=False)


def test_what_is_stored_is_what_the_payloads_say(files: tuple[Fingerprint, Fingerprint]) -> None:
    baseline, version = files
    for file in files:
        make_entries(file, baseline, read)
    found = find_summaries(files, baseline)
    assert found.payloads[version].summary == summarize(read(version))
    expected = compare_summary(compare(read(baseline), read(version)))
    assert found.drifts[version].summary == expected
    assert baseline not in found.drifts
    assert found.list_missing(files, baseline) == []


def test_a_file_that_was_written_anew_and_another_baseline_are_missing(
    files: tuple[Fingerprint, Fingerprint],
) -> None:
    baseline, version = files
    for file in files:
        make_entries(file, baseline, read)
    changed = (version[0], version[1], version[2] + 1)
    assert find_summaries([changed], baseline).list_missing([changed], baseline) == [changed]
    assert find_summaries(files, version).list_missing(files, version) == [baseline]


def test_nothing_is_stored_of_a_file_that_is_replaced_meanwhile(
    files: tuple[Fingerprint, Fingerprint],
) -> None:
    def replace(file: Fingerprint) -> Reading:
        reading = read(file)
        write_payload(Path(file[0]), make_grouped_pair(seed=7)[0])
        return reading

    make_entries(files[1], None, replace)
    assert find_summaries(files, None).payloads == {}


def test_a_broken_file_is_read_once_and_its_problem_kept(
    files: tuple[Fingerprint, Fingerprint],
) -> None:
    path = Path(files[1][0])
    path.write_bytes(b"not a payload")
    broken = fingerprint_file(path)
    make_entries(broken, files[0], read)
    found = find_summaries([broken], files[0])
    assert found.list_missing([broken], files[0]) == []
    assert str(path) in str(found.payloads[broken].problem)


def test_a_process_of_its_own_summarises_what_is_missing(
    files: tuple[Fingerprint, Fingerprint],
) -> None:
    start_missing(files, files[0])
    [process] = runs._children
    assert "analysis.files.confinement" in str(process.args)  # which takes the network from it
    _wait()
    assert find_summaries(files, files[0]).list_missing(files, files[0]) == []
    assert not list((work_folder().parent).glob("*.npz"))  # what people look at stays cached


def test_what_was_asked_for_in_vain_is_not_asked_again_at_once(
    files: tuple[Fingerprint, Fingerprint],
) -> None:
    work_folder().mkdir(parents=True)
    asked = work_folder() / REQUEST_FILE
    asked.write_text(json.dumps({"files": files, "baseline": files[0], "probes": []}))
    start_missing(files, files[0])
    assert not is_running()
    os.utime(asked, (0, 0))
    start_missing(files, files[0])
    assert is_running()
    _wait()


def test_by_the_indices_the_same_is_stored_without_opening_a_payload(
    files: tuple[Fingerprint, Fingerprint],
) -> None:
    baseline, version = files
    for file in files:
        save_index(Path(file[0]), read(file), to_json(summarize(read(file))))

    def refuse(file: Fingerprint) -> Reading:
        raise AssertionError(f"{file} was opened")

    make_entries(version, baseline, refuse)
    found = find_summaries(files, baseline)
    assert found.payloads[version].summary == summarize(read(version))
    expected = compare_summary(compare(read(baseline), read(version)))
    assert found.drifts[version].summary == expected


@pytest.mark.parametrize("summary", ["", "{}", '{"outlier_channels": "many"}'])
def test_a_summary_that_is_none_is_computed_from_the_payload(
    summary: str, files: tuple[Fingerprint, Fingerprint]
) -> None:
    save_index(Path(files[1][0]), read(files[1]), summary)
    make_entries(files[1], None, read)
    assert find_summaries(files, None).payloads[files[1]].summary == summarize(read(files[1]))


def test_vectors_are_probed_once_in_a_process_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "feature_stats" / "v1.pt"
    write_with_vectors(path)
    file = fingerprint_file(path)
    start_missing([], None, [file])
    _wait()
    best = find_summaries([file], None).probes[file].summary
    assert best is not None
    assert (best.target, best.layer) == ("Mass", LAYER)


def test_vectors_that_ended_their_process_leave_the_payload_as_it_was(
    files: tuple[Fingerprint, Fingerprint],
) -> None:
    work_folder().mkdir(parents=True)
    at_hand_path(work_folder(), 0).write_text(json.dumps({"probe": files[1]}))
    start_missing([], files[0], [files[1]])
    found = find_summaries(files, files[0])
    assert "ended the process" in str(found.probes[files[1]].problem)
    assert found.payloads == {}


def test_a_file_that_ended_its_process_is_not_tried_again(
    files: tuple[Fingerprint, Fingerprint],
) -> None:
    work_folder().mkdir(parents=True)
    at_hand_path(work_folder(), 0).write_text(json.dumps(files[1]))
    start_missing([files[1]], files[0])
    assert not is_running()
    assert "ended the process" in str(find_summaries(files, files[0]).payloads[files[1]].problem)


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
def test_a_damaged_store_is_made_anew(
    files: tuple[Fingerprint, Fingerprint], content: bytes
) -> None:
    store_path().parent.mkdir(parents=True)
    store_path().write_bytes(content)
    assert find_summaries(files, None).payloads == {}
    make_entries(files[0], None, read)
    assert files[0] in find_summaries(files, None).payloads


def test_an_entry_that_cannot_be_read_is_missing(files: tuple[Fingerprint, Fingerprint]) -> None:
    make_entries(files[0], None, read)
    with sqlite3.connect(store_path()) as database:
        database.execute("UPDATE entries SET text = '{\"outlier_channels\": 3}'")
    assert find_summaries(files, None).payloads == {}


def test_the_oldest_entries_are_forgotten(files: tuple[Fingerprint, Fingerprint]) -> None:
    make_entries(files[0], None, read)
    save_entries({f"other {n}": ("{}", None) for n in range(MAX_ENTRIES)})
    assert find_summaries(files, None).payloads == {}


def test_the_stamp_changes_with_the_store(files: tuple[Fingerprint, Fingerprint]) -> None:
    assert summaries.read_stamp() == 0
    make_entries(files[0], None, read)
    assert summaries.read_stamp() > 0
