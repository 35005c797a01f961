"""What people say of payloads: a name, a note, hidden or not, which one is the baseline.

Kept beside the payloads, never in them: one small JSON per allowed root, `outputs/.dashboard.json`,
replaced atomically. It is read as if a stranger had written it: what does not fit is left out.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from analysis.errors import ConfigError, PayloadError
from analysis.files.atomic import replace_file
from analysis.files.locks import locked
from analysis.files.own_state import read_small
from analysis.files.read_only import refuse_if_read_only
from analysis.files.roots import allowed_roots, resolve_below_roots
from analysis.vocabulary import FEATURE_STATS_DIR

FILE = Path("outputs", ".dashboard.json")
MAX_NAME = 60
MAX_NOTE = 2_000
MAX_KEY = 1_000
"""Letters of a payload's path below its root."""

MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Annotation:
    """What is said of one payload."""

    name: str | None = None
    """Shown instead of its version."""
    note: str | None = None
    hidden: bool = False
    """Whether it is left out of the choice of payloads."""


@dataclass(frozen=True)
class Annotations:
    """What is said of all payloads below the allowed roots."""

    by_path: Mapping[Path, Annotation] = field(default_factory=dict)
    baseline: Path | None = None
    """The payload that others are compared with unless asked otherwise."""

    def of(self, path: Path) -> Annotation:
        """Return what is said of a payload."""
        return self.by_path.get(path, Annotation())


def load_annotations(roots: Sequence[Path] | None = None) -> Annotations:
    """Read what is said of the payloads below the roots; nothing where nothing can be read."""
    by_path: dict[Path, Annotation] = {}
    baseline: Path | None = None
    for root in allowed_roots() if roots is None else roots:
        content = _read(root)
        entries = content.get("payloads")
        for key, value in entries.items() if isinstance(entries, dict) else ():
            # Without asking the disk: a file may name a hundred thousand.
            parts = key.split("/") if len(key) <= MAX_KEY else [".."]
            if ".." not in parts and isinstance(value, dict):
                path = root / key
                if path.is_relative_to(root):
                    by_path[path] = _parse(value)
        baseline = baseline or _below(root, content.get("baseline"))
    return Annotations(by_path, baseline)


def annotate(path: Path, annotation: Annotation) -> None:
    """Say something of a payload, in place of what was said before.

    Raises:
        ConfigError: If the server is read-only, the payload lies outside the allowed roots, a
            text is too long, or the file cannot be written.
    """
    for text, limit, what in (
        (annotation.name, MAX_NAME, "name"),
        (annotation.note, MAX_NOTE, "note"),
    ):
        if text is not None and len(text) > limit:
            raise ConfigError(f"A {what} may have {limit} letters; this one has {len(text)}.")
    root, path = _find_root(path)
    with _changing(root) as content:
        entries = content.setdefault("payloads", {})
        entries[str(path.relative_to(root))] = asdict(_clean(annotation))


def pin_baseline(path: Path | None) -> None:
    """Make a payload the baseline, in place of the one before; None leaves none.

    Raises:
        ConfigError: If the server is read-only, the payload lies outside the allowed roots, or
            the file cannot be written.
    """
    refuse_if_read_only()
    place = None if path is None else _find_root(path)
    for root in allowed_roots():
        chosen = None if place is None or place[0] != root else str(place[1].relative_to(root))
        if chosen or _read(root).get("baseline"):
            with _changing(root) as content:
                content["baseline"] = chosen


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
        raise PayloadError(f"{path}: there is no payload here (any more). Reload the page.")
    if path in being_written:
        raise ConfigError(f"{path}: an extraction is about to write it. Cancel that first.")
    try:
        path.unlink()
        for suffix in (".json", ".log", ".features.safetensors"):
            path.with_suffix(suffix).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be deleted ({error.strerror or error}).") from error
    if _read(root):
        with _changing(root) as content:
            key = str(path.relative_to(root))
            content.get("payloads", {}).pop(key, None)
            if content.get("baseline") == key:
                content["baseline"] = None


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


def _read(root: Path) -> dict[str, Any]:
    try:
        return _read_strictly(root)
    except ConfigError:
        return {}


def _read_strictly(root: Path) -> dict[str, Any]:
    """Return the content of a root's file, empty where there is none or it is no JSON object.

    Raises:
        ConfigError: If it is too large, a link or a pipe, or the system refuses it.
    """
    path = root / FILE
    try:
        content = json.loads(read_small(path, MAX_BYTES))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        return {}
    except OSError as error:
        raise ConfigError(
            f"{path}: names and notes cannot be read ({error}), and are not overwritten. Repair "
            "the file or move it away."
        ) from error
    return content if isinstance(content, dict) else {}


@contextlib.contextmanager
def _changing(root: Path) -> Iterator[dict[str, Any]]:
    """Yield the content of a root's file, which is replaced when the block ends without error."""
    refuse_if_read_only()
    path = root / FILE
    resolve_below_roots(path.parent)  # a link may lead elsewhere
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):
            before = _read_strictly(root)
            content = {"schema_version": 1, **before}
            if not isinstance(content.get("payloads", {}), dict):
                content["payloads"] = {}
            yield content
            text = json.dumps(content, indent=1, ensure_ascii=False).encode(errors="surrogatepass")
            if len(text) > MAX_BYTES:
                raise ConfigError(
                    f"{path}: all names and notes together may have {MAX_BYTES} bytes; with this "
                    f"change they have {len(text)}. Shorten notes first."
                )
            with replace_file(path, backup=not before) as file:  # what is damaged is kept
                file.write(text)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written ({error.strerror or error}). Make the folder writable."
        ) from error


def _parse(value: Mapping[str, Any]) -> Annotation:
    name, note = value.get("name"), value.get("note")
    return _clean(
        Annotation(
            name=name[:MAX_NAME] if isinstance(name, str) else None,
            note=note[:MAX_NOTE] if isinstance(note, str) else None,
            hidden=value.get("hidden") is True,
        )
    )


def _clean(annotation: Annotation) -> Annotation:
    """Return it with a name of one printable line, and None for what is empty."""
    letters = (char if char.isprintable() else " " for char in annotation.name or "")
    note = (annotation.note or "").strip()
    return replace(annotation, name=" ".join("".join(letters).split()) or None, note=note or None)
