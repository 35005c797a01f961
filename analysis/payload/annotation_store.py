"""The database of names and notes: one SQLite file per allowed root, `outputs/.dashboard.sqlite`.

Every change is one short transaction with a rollback journal, which also network disks can hold
(the write-ahead log needs shared memory). Killed or out of room, SQLite goes back to what stood
there before.

The file comes with a project dir and may be a stranger's. So it and its journal must be regular
files of this user, its tables exactly those below, and what one transaction may compute is bounded.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from analysis.errors import ConfigError
from analysis.files.own_state import open_regular
from analysis.files.read_only import is_read_only
from analysis.files.roots import resolve_below_roots
from analysis.files.writing import hold_folder, make_folder, open_any, open_folder
from analysis.language import _, pgettext

FILE = Path("outputs", ".dashboard.sqlite")
MAX_BYTES = 16 * 2**20
MAX_ROWS = 20_000
"""Payloads that something is said of; all are read every few seconds."""
BUSY_S = 10.0
"""How long a session waits for another one that writes."""

MAX_STEPS = 20_000_000
"""Of SQLite's virtual machine in one transaction; 20,000 rows take about 200,000."""

VERSION = 1
TABLES = (
    "CREATE TABLE payloads (path BLOB PRIMARY KEY, name TEXT, note TEXT, hidden INTEGER, "
    "tags TEXT, score REAL) WITHOUT ROWID",
    "CREATE TABLE settings (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID",
)

_MAGIC = b"SQLite format 3\0"
_ROLLBACK = b"\1\1"
"""Of the header: versions of the format without a write-ahead log."""
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
_STEPS_APART = 100_000
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 2**20,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 10_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 16,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 16,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 2,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
}


class _UnusableError(Exception):
    """The file is not one that this module writes; the message says in what."""


_one_at_a_time = threading.Lock()
"""Whoever closes a file in this process drops all locks that the process holds on it."""


@contextlib.contextmanager
def reading(root: Path) -> Iterator[sqlite3.Connection | None]:
    """Yield the database of a root within a transaction; None where there is none.

    Raises:
        ConfigError: If it cannot be read, or is not as this module writes it.
    """
    path = root / FILE
    with _one_at_a_time, _explaining(path, "read"):
        if not _check(path):
            yield None
            return
        # With "rw" SQLite first undoes what a killed writer left.
        with _connected(path, "ro" if is_read_only() else "rw") as database:
            database.execute("BEGIN")
            # What was killed while it made the tables left none.
            yield database if _check_tables(database) else None


@contextlib.contextmanager
def changing(root: Path) -> Iterator[tuple[sqlite3.Connection, bool]]:
    """Yield the database of a root, made where it is missing, and whether it has just been made.

    What the block changes is kept if it ends without an error, else nothing of it.

    Raises:
        ConfigError: If it cannot be written, is not as this module writes it, or would be too
            large.
    """
    path = root / FILE
    resolve_below_roots(path.parent)  # a link may lead elsewhere
    with _one_at_a_time, _explaining(path, "written"):
        make_folder(path.parent)
        if not _check(path):
            _create(path)
        with _connected(path, "rw") as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                is_new = not _check_tables(database)
                if is_new:
                    for table in TABLES:
                        database.execute(table)
                    database.execute(f"PRAGMA user_version = {VERSION}")
                yield database, is_new
                database.execute("COMMIT")
            finally:
                if database.in_transaction:
                    database.execute("ROLLBACK")


def _check(path: Path) -> bool:
    """Return whether a database stands there whose files may be opened.

    Raises:
        _UnusableError, OSError: If one stands there that may not.
    """
    try:
        folder = open_folder(path.parent.resolve())
    except FileNotFoundError:
        return False
    try:
        header = _read_ends(folder, path.name)[0]
        journal = _read_ends(folder, f"{path.name}-journal")[1]
    finally:
        os.close(folder)
    if header[: len(_MAGIC)] not in (b"", _MAGIC) or header[18:20] not in (b"", _ROLLBACK):
        raise _UnusableError("it is no database of this dashboard")
    if journal == _JOURNAL_MAGIC:  # SQLite would remove the file that such a journal names
        raise _UnusableError("its journal belongs to several databases")
    return bool(header)


def _read_ends(folder: int, name: str) -> tuple[bytes, bytes]:
    """Return the first 100 and the last 8 bytes of a file; nothing where it is missing or empty."""
    try:
        descriptor = open_regular(Path(name), folder)
    except FileNotFoundError:
        return b"", b""
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        if state.st_uid != os.getuid() and state.st_mode & stat.S_IWOTH:
            raise _UnusableError("everybody can write it, and it belongs to another user")
        if state.st_size > 2 * MAX_BYTES:
            raise _UnusableError(f"it has {state.st_size} bytes; {MAX_BYTES} are the most")
        header = file.read(100)
        file.seek(max(0, state.st_size - 8))
        return header, file.read(8)


def _create(path: Path) -> None:
    with hold_folder(path.parent) as folder:
        os.close(open_any(folder, path.name, os.O_WRONLY))


@contextlib.contextmanager
def _connected(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    place = f"{path.resolve().as_uri()}?mode={mode}"
    database = sqlite3.connect(place, timeout=BUSY_S, isolation_level=None, uri=True)
    try:
        for category, most in _LIMITS.items():
            database.setlimit(category, most)
        left = iter(range(MAX_STEPS // _STEPS_APART))
        database.set_progress_handler(lambda: next(left, None) is None, _STEPS_APART)
        database.text_factory = lambda text: text.decode(errors="replace")
        for setting in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
            database.execute(f"PRAGMA {setting}")
        [(page,)] = database.execute("PRAGMA page_size")
        database.execute(f"PRAGMA max_page_count = {MAX_BYTES // page}")
        yield database
    finally:
        database.close()


def _check_tables(database: sqlite3.Connection) -> bool:
    """Return whether the tables are there, and nothing else; False for an empty database.

    Raises:
        _UnusableError: If it holds anything else, such as a view or a trigger.
    """
    [(version,)] = database.execute("PRAGMA user_version")
    if type(version) is int and version > VERSION:
        raise _UnusableError(f"it has version {version}; this dashboard knows {VERSION}")
    found = database.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchmany(10)
    if not found:
        return False
    if found != [(table,) for table in TABLES]:
        raise _UnusableError("it is no database of this dashboard")
    return True


@contextlib.contextmanager
def _explaining(path: Path, what: str) -> Iterator[None]:
    """Raise the errors of the block as a sentence about the file."""
    words = {"read": pgettext("names", "read"), "written": pgettext("names", "written")}
    try:
        yield
    except _UnusableError as error:
        raise ConfigError(
            _(
                "{path}: names and notes cannot be {what}: {error}. Move the file away, or put a "
                "copy of an earlier day in its place."
            ).format(path=path, what=words[what], error=error)
        ) from error
    except (sqlite3.Error, OSError) as error:
        advice = {
            sqlite3.SQLITE_BUSY: _("Somebody else is writing: try again."),
            sqlite3.SQLITE_FULL: _(
                "Make room, or shorten notes: together they may have {most} bytes."
            ).format(most=MAX_BYTES),
        }.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, _("Make file and folder writable."))
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            _("{path}: names and notes cannot be {what} ({reason}). {advice}").format(
                path=path, what=words[what], reason=reason, advice=advice
            )
        ) from error
