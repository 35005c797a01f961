"""What people say of payloads: name, note, tags, score, hidden or not; which one is the baseline.

Kept beside the payloads, never in them, in one small database per allowed root
(`analysis.payload.annotation_store`). It is read as if a stranger had written it: what does not fit
is left out. Earlier versions kept `outputs/.dashboard.json`: it is read as long as there is no
database, taken over by the first change, and left where it is.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from analysis.errors import ConfigError, PayloadError
from analysis.files.isolated import isolated
from analysis.files.own_state import read_small
from analysis.files.read_only import refuse_if_read_only
from analysis.files.roots import allowed_roots, is_below, resolve_below_roots
from analysis.files.writing import remove_file
from analysis.language import _
from analysis.payload import annotation_store
from analysis.payload.annotation import Annotation, check_limits, clean, merge, parse
from analysis.vocabulary import FEATURE_STATS_DIR

OLD_FILE = Path("outputs", ".dashboard.json")
MAX_KEY = 1_000
"""Bytes of a payload's path below its root."""

MAX_OLD_BYTES = 4 * 1024 * 1024
_COLUMNS = "name, note, hidden, tags, score"


@dataclass(frozen=True)
class Annotations:
    """What is said of all payloads below the allowed roots."""

    by_path: Mapping[Path, Annotation] = field(default_factory=dict)
    baseline: Path | None = None
    """The payload that others are compared with unless asked otherwise."""
    problems: tuple[str, ...] = ()
    """A sentence for each root of which nothing can be read."""

    def of(self, path: Path) -> Annotation:
        """Return what is said of a payload."""
        return self.by_path.get(path, Annotation())

    def list_tags(self) -> list[str]:
        """Return every tag that some payload has, in order."""
        return sorted({tag for about in self.by_path.values() for tag in about.tags})


Entries = dict[str, Annotation]
"""What is said of payloads, by their path below the root."""


def load_annotations(roots: Sequence[Path] | None = None) -> Annotations:
    """Read what is said of the payloads below the roots; `problems` says what cannot be read."""
    by_path: dict[Path, Annotation] = {}
    baseline: Path | None = None
    problems: list[str] = []
    for root in allowed_roots() if roots is None else roots:
        try:
            entries, pinned = _read(root)
        except ConfigError as error:
            problems.append(str(error))
            continue
        for key, annotation in entries.items():
            # Without asking the disk: there may be a hundred thousand.
            path = root / key
            if ".." not in key.split("/") and path.is_relative_to(root):
                by_path[path] = annotation
        baseline = baseline or _below(root, pinned)
    return Annotations(by_path, baseline, tuple(problems))


def annotate(path: Path, annotation: Annotation, *, before: Annotation | None = None) -> None:
    """Say something of a payload.

    Args:
        path: The payload.
        annotation: What to say.
        before: What was said when somebody began to change it. Only what differs from it is
            written then, and what others have saved since stays. None to replace everything.

    Raises:
        ConflictError: If another person has changed the same name, note or score since `before`;
            nothing is written.
        ConfigError: If the server is read-only, the payload lies outside the allowed roots, a
            text is too long, there are too many tags, the score is no finite number, or the
            database cannot be written.
    """
    check_limits(annotation)
    root, path = _find_root(path)
    key = str(path.relative_to(root))
    if len(os.fsencode(key)) > MAX_KEY:
        raise ConfigError(
            _("{path}: a path below {root} may have {max_key} bytes to be named.").format(
                path=path, root=root, max_key=MAX_KEY
            )
        )
    annotation = clean(annotation)
    with _changing(root) as database:
        if before is not None:
            annotation = merge(before, annotation, _get(database, key))
            check_limits(annotation)
        _put(database, key, annotation)
        [(number,)] = database.execute("SELECT count(*) FROM payloads")
        if number > annotation_store.MAX_ROWS:
            raise ConfigError(_too_many(root))


def pin_baseline(path: Path | None) -> None:
    """Make a payload the baseline, in place of the one before; None leaves none.

    Raises:
        ConfigError: If the server is read-only, the payload lies outside the allowed roots, or
            the database cannot be written.
    """
    refuse_if_read_only()
    place = None if path is None else _find_root(path)
    for root in allowed_roots():
        chosen = None if place is None or place[0] != root else str(place[1].relative_to(root))
        if chosen or _read(root)[1]:
            with _changing(root) as database:
                _pin(database, chosen)


def delete_payload(path: Path, *, being_written: Collection[Path]) -> None:
    """Delete a payload with the JSON and the log beside it, and what is said of it.

    Args:
        path: The payload.
        being_written: Payloads that running extractions are about to write; not deleted.

    Raises:
        ConfigError: If the server is read-only, the payload lies outside the allowed roots, an
            extraction is about to write it, or it cannot be deleted.
        PayloadError: If the file is not where payloads are.
    """
    refuse_if_read_only()
    root, path = _find_root(path)
    if path.suffix != ".pt" or path.parent.name != FEATURE_STATS_DIR or not path.is_file():
        raise PayloadError(
            _("{path}: there is no payload here (any more). Reload the page.").format(path=path)
        )
    if path in being_written:
        raise ConfigError(
            _("{path}: an extraction is about to write it. Cancel that first.").format(path=path)
        )
    try:
        for suffix in (path.suffix, ".json", ".log", ".index", ".features.safetensors"):
            remove_file(path.with_suffix(suffix))
    except OSError as error:
        raise ConfigError(
            _("{path}: cannot be deleted ({strerror}).").format(
                path=path, strerror=error.strerror or error
            )
        ) from error
    key = str(path.relative_to(root))
    entries, pinned = _read(root)
    if key in entries or pinned == key:
        with _changing(root) as database:
            database.execute("DELETE FROM payloads WHERE path = ?", (os.fsencode(key),))
            if pinned == key:
                _pin(database, None)


def _find_root(path: Path) -> tuple[Path, Path]:
    """Return the allowed root that a payload belongs to, and the payload's resolved path."""
    path = resolve_below_roots(path)
    holding = [root for root in allowed_roots() if path.is_relative_to(root)]
    return max(holding, key=lambda root: len(root.parts)), path


def _below(root: Path, key: Any) -> Path | None:
    if not isinstance(key, str):
        return None
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        path = (root / key).resolve()
        return path if path.is_relative_to(root) else None
    return None


def _read(root: Path) -> tuple[Entries, str | None]:
    """Return what is said of the payloads of a root, and which one is the baseline.

    Raises:
        ConfigError: If what stands there cannot be read.
    """
    if not is_below((root / OLD_FILE).parent.resolve(), (root, *allowed_roots())):
        return {}, None
    with annotation_store.reading(root) as database:
        if database is None:
            return _read_old(root)
        rows = database.execute(f"SELECT path, {_COLUMNS} FROM payloads").fetchmany(
            annotation_store.MAX_ROWS + 1
        )
        pinned = database.execute("SELECT value FROM settings WHERE key = 'baseline'").fetchone()
    if len(rows) > annotation_store.MAX_ROWS:
        raise ConfigError(_too_many(root))
    entries = {
        os.fsdecode(path): _parse_row(columns)
        for path, *columns in rows
        if isinstance(path, bytes) and len(path) <= MAX_KEY
    }
    key = pinned[0] if pinned else None
    return entries, os.fsdecode(key) if isinstance(key, bytes) else None


def _too_many(root: Path) -> str:
    return _(
        "{root}: names and notes are kept of up to {max_rows} payloads. "
        "Delete payloads of which something is said."
    ).format(root=root / annotation_store.FILE, max_rows=annotation_store.MAX_ROWS)


def _read_old(root: Path) -> tuple[Entries, str | None]:
    """Return what the file of earlier versions says; a file that is no JSON says nothing.

    Raises:
        ConfigError: If it is too large, a link or a pipe, or the system refuses it.
    """
    path = root / OLD_FILE
    if not path.exists() and not path.is_symlink():
        return {}, None
    found = _read_old_json(str(path))
    if isinstance(found, str):
        raise ConfigError(
            _(
                "{path}: names and notes cannot be read ({error}), and are not "
                "changed. Repair the file or move it away."
            ).format(path=path, error=found)
        )
    content = found
    entries, pinned = content.get("payloads"), content.get("baseline")
    if isinstance(entries, dict) and len(entries) > annotation_store.MAX_ROWS:
        raise ConfigError(
            _(
                "{path}: names and notes of {count} payloads cannot be read; "
                "{max_rows} are the most. Move the file away."
            ).format(path=path, count=len(entries), max_rows=annotation_store.MAX_ROWS)
        )
    found = {
        key: parse(value)
        for key, value in (entries.items() if isinstance(entries, dict) else ())
        if len(key) <= MAX_KEY and isinstance(value, dict)
    }
    return found, pinned if isinstance(pinned, str) else None


@isolated("names of earlier versions")
def _read_old_json(path: str) -> dict[str, Any] | str:
    """Return the content of a file; nothing of one that is no JSON, a text where it is refused."""
    try:
        content = json.loads(read_small(Path(path), MAX_OLD_BYTES))
    except (ValueError, RecursionError):
        content = None
    except OSError as error:
        return str(error)
    return content if isinstance(content, dict) else {}


@contextlib.contextmanager
def _changing(root: Path) -> Iterator[Connection]:
    """Yield the database of a root within a transaction; a new one holds what was said before."""
    refuse_if_read_only()
    with annotation_store.changing(root) as (database, is_new):
        if is_new:
            entries, pinned = _read_old(root)
            for key, annotation in entries.items():
                _put(database, key, annotation)
            _pin(database, pinned)
        yield database


def _get(database: Connection, key: str) -> Annotation:
    """Return what is said of one payload within a transaction."""
    question = f"SELECT {_COLUMNS} FROM payloads WHERE path = ?"
    row = database.execute(question, (os.fsencode(key),)).fetchone()
    return Annotation() if row is None else _parse_row(row)


def _parse_row(columns: Sequence[Any]) -> Annotation:
    name, note, hidden, tags, score = columns
    known = {"name": name, "note": note, "hidden": hidden == 1, "score": score}
    return parse(known | {"tags": _split_tags(tags)})


def _put(database: Connection, key: str, said: Annotation) -> None:
    with contextlib.suppress(UnicodeEncodeError):  # a path that no file can have
        database.execute(
            "REPLACE INTO payloads VALUES (?, ?, ?, ?, ?, ?)",
            (
                os.fsencode(key),
                said.name,
                said.note,
                said.hidden,
                json.dumps(said.tags, ensure_ascii=False),
                said.score,
            ),
        )


def _pin(database: Connection, key: str | None) -> None:
    database.execute(
        "REPLACE INTO settings VALUES ('baseline', ?)", (None if key is None else os.fsencode(key),)
    )


def _split_tags(text: Any) -> Any:
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        return json.loads(text)
    return None
