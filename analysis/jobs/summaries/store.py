"""Summaries by the fingerprints of the files that they are of, in one small database.

The database is only ever a shortcut: where it is damaged it is removed, where nothing can be
written nothing is, and an entry of another format or of a file that changed is not found.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from analysis.files.cache_folder import cache_folder
from analysis.files.writing import make_folder
from analysis.payload.fingerprint import Fingerprint
from analysis.read.summary import FORMAT, DriftSummary, Summary, parse_drift, parse_summary
from analysis.read.worth.best_probe import BestProbe, parse_best_probe

MAX_ENTRIES = 20_000
"""The oldest go first; one takes a few kilobytes."""

READ_SECONDS, WRITE_SECONDS = 5.0, 60.0
"""How long to wait for another process that writes; a page must not wait long."""

_READ_AT_ONCE = 500
"""Keys of one query; SQLite allows no more than 999 in old versions."""

_logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """What is stored of one file or pair."""

    summary: T | None = None
    problem: str | None = None
    """Why there is no summary; never to be rendered as HTML."""


@dataclass(frozen=True)
class Found:
    """What is stored of a list of payloads."""

    payloads: Mapping[Fingerprint, Entry[Summary]] = field(default_factory=dict)
    drifts: Mapping[Fingerprint, Entry[DriftSummary]] = field(default_factory=dict)
    """Against the baseline, which has none itself."""
    probes: Mapping[Fingerprint, Entry[BestProbe]] = field(default_factory=dict)
    """Of the payloads that have vectors of single images."""

    def list_missing(
        self, files: Iterable[Fingerprint], baseline: Fingerprint | None
    ) -> list[Fingerprint]:
        """Return the files of which something is not stored yet, in their order."""
        return [
            file
            for file in files
            if file not in self.payloads
            or (baseline is not None and file != baseline and file not in self.drifts)
        ]


def find_summaries(files: Sequence[Fingerprint], baseline: Fingerprint | None) -> Found:
    """Return what is stored of payloads and of their comparisons with a baseline.

    Args:
        files: Fingerprints of the payloads.
        baseline: Fingerprint of the baseline; None where nothing is compared.
    """
    own = {payload_key(file): file for file in files}
    pairs = {
        pair_key(file, baseline): file for file in files if baseline is not None if file != baseline
    }
    probes = {probe_key(file): file for file in files}
    stored = _read([*own, *pairs, *probes])
    return Found(
        _parse(stored, own, parse_summary),
        _parse(stored, pairs, parse_drift),
        _parse(stored, probes, parse_best_probe),
    )


def save_entries(entries: Mapping[str, tuple[str | None, str | None]]) -> None:
    """Store texts and problems by key, as `payload_key` and `pair_key` make them."""
    now = time.time()
    rows = [(key, text, problem, now) for key, (text, problem) in entries.items()]
    try:
        with _open(create=True) as database, database:
            database.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", rows)
            database.execute(
                "DELETE FROM entries WHERE key IN (SELECT key FROM entries "
                "ORDER BY written DESC LIMIT -1 OFFSET ?)",
                (MAX_ENTRIES,),
            )
    except (sqlite3.Error, OSError) as error:
        _logger.warning("Summaries are computed anew each time, since none can be kept: %s", error)


def read_stamp() -> int:
    """Return what changes whenever something is stored; 0 where nothing is."""
    try:
        return store_path().stat().st_mtime_ns
    except OSError:
        return 0


def payload_key(file: Fingerprint) -> str:
    """Return the key of what is stored of a payload."""
    return _hash("payload", file)


def pair_key(file: Fingerprint, baseline: Fingerprint) -> str:
    """Return the key of what is stored of a payload against a baseline."""
    return _hash("pair", file, baseline)


def probe_key(file: Fingerprint) -> str:
    """Return the key of the best probe of a payload's vectors."""
    return _hash("probe", file)


def store_path() -> Path:
    """Return the file of the database; it need not exist."""
    return cache_folder() / "summaries.sqlite"


def _hash(*facts: object) -> str:
    return hashlib.sha256(repr((FORMAT, *facts)).encode(errors="surrogatepass")).hexdigest()[:32]


def _read(keys: Sequence[str]) -> dict[str, tuple[str | None, str | None]]:
    found: dict[str, tuple[str | None, str | None]] = {}
    if not store_path().is_file():
        return found
    try:
        with _open(create=False) as database:
            for start in range(0, len(keys), _READ_AT_ONCE):
                some = keys[start : start + _READ_AT_ONCE]
                marks = ", ".join("?" * len(some))
                rows = database.execute(
                    f"SELECT key, text, problem FROM entries WHERE key IN ({marks})", some
                )
                found |= {key: (text, problem) for key, text, problem in rows}
    except sqlite3.OperationalError as error:  # another process writes, or the disk refuses
        _logger.warning("The stored summaries cannot be read now: %s", error)
    except sqlite3.Error as error:
        _logger.warning("Removing the damaged store of summaries: %s", error)
        with contextlib.suppress(OSError):
            store_path().unlink()
    return found


@contextlib.contextmanager
def _open(*, create: bool) -> Iterator[sqlite3.Connection]:
    path = store_path()
    if create:
        make_folder(path.parent, 0o700)
    database = sqlite3.connect(path, timeout=WRITE_SECONDS if create else READ_SECONDS)
    try:
        if create:
            # What a loss of power damages is computed anew: no write waits for the disk.
            database.execute("PRAGMA synchronous = OFF")
            database.execute(
                "CREATE TABLE IF NOT EXISTS entries "
                "(key TEXT PRIMARY KEY, text TEXT, problem TEXT, written REAL)"
            )
        yield database
    finally:
        database.close()


def _parse(
    stored: Mapping[str, tuple[str | None, str | None]],
    wanted: Mapping[str, Fingerprint],
    parse: Callable[[str], T],
) -> dict[Fingerprint, Entry[T]]:
    found: dict[Fingerprint, Entry[T]] = {}
    for key, file in wanted.items():
        text, problem = stored.get(key, (None, None))
        if problem is not None:
            found[file] = Entry(problem=str(problem))
        elif text is not None:
            with contextlib.suppress(ValueError, TypeError, KeyError):  # damaged: as if not stored
                found[file] = Entry(parse(text))
    return found
