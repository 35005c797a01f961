"""Which payloads exist, told from the small JSON beside each one (no tensor is read, no torch).

A payload is every `*.pt` file in a folder named `feature_stats` below one of the allowed roots:
the project dir, and what the environment variable `DASHBOARD_ROOTS` adds. The JSON is written by
others and may be old, cut off or hostile: each of its keys is taken only if it has the right
type, and none of it when it describes another file than the one beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from analysis.errors import PayloadError, to_printable
from analysis.files.roots import allowed_roots, resolve_below_roots
from analysis.language import _
from analysis.payload.payload_files import find_payload_files
from analysis.payload.sidecar import Sidecar, read_sidecar, read_sidecars

__all__ = [
    "PayloadList",
    "PayloadRef",
    "allowed_roots",
    "discover_payloads",
    "load_ref",
    "payload_key",
    "resolve_below_roots",
    "short_names",
]

MAX_PAYLOADS = 1_000

SEPARATORS = "-_./ "
"""Letters after which a version may be cut."""

LONG_START = 12
"""Letters that all versions must begin with to be left out of their labels."""

LOG_DIR = "outputs"
"""Default of `logging.log_dir`: below it, a payload's path tells its version."""


@dataclass(frozen=True)
class PayloadRef:
    """One payload file, and what is known of it without reading it."""

    path: Path
    """Absolute, symlinks resolved."""
    size: int
    mtime_ns: int
    version: str | None
    """From the JSON, else from the path `outputs/<version>/[train_all/]feature_stats`."""
    train_all: bool | None
    created: datetime
    """UTC: when the extraction ran, or when the file was written where that is not recorded."""
    facts: Sidecar
    """The other facts of the JSON; all None where there is no usable JSON."""
    label: str
    """Plain text; no two refs of one `discover_payloads` share it."""

    @property
    def fingerprint(self) -> tuple[str, int, int]:
        """What a cache of this file's content must be keyed by: (path, size, mtime_ns)."""
        return str(self.path), self.size, self.mtime_ns

    @cached_property
    def key(self) -> str:
        """Twelve hex digits of the path's hash: a name for links that outlives a new extraction."""
        return payload_key(self.path)

    @property
    def mark(self) -> str:
        """Eight hex digits of the extraction: another one to the same path has another mark.

        From the facts of the JSON, so that a copy keeps its mark; a file without these facts is
        marked by its size and time.
        """
        facts = self.facts
        deciding = (facts.created, facts.request_fingerprint, facts.num_images, facts.lora_error)
        if facts.request_fingerprint is None:
            deciding = (self.size, self.mtime_ns)
        return hashlib.sha256(repr(deciding).encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """The short name for legends; two files may share it (see `short_names`)."""
        if self.version is None:
            return to_printable(self.path.stem)
        return f"{self.version} (train_all)" if self.train_all else self.version


class PayloadList(list[PayloadRef]):
    """The payloads found, newest first, and what the search had to leave out."""

    def __init__(self, refs: Sequence[PayloadRef] = (), notices: Sequence[str] = ()) -> None:
        super().__init__(refs)
        self.notices: tuple[str, ...] = tuple(notices)
        """One sentence each, for the screen."""


def payload_key(path: Path) -> str:
    """Return the key of a payload at a resolved path, see `PayloadRef.key`."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def load_ref(path: Path) -> PayloadRef:
    """Describe one payload file, wherever it is.

    Raises:
        PayloadError: If there is no such file.
    """
    path = Path(path).resolve()
    try:
        state = path.stat()
    except OSError as error:
        raise PayloadError(
            _("{path}: cannot be read ({strerror}).").format(
                path=path, strerror=error.strerror or error
            )
        ) from error
    return _build_ref(path, state, read_sidecar(path, state))


def _build_ref(path: Path, state: os.stat_result, sidecar: Sidecar | None) -> PayloadRef:
    facts = sidecar or Sidecar()
    version, train_all = facts.version, facts.train_all
    if not facts.known:
        version, train_all = _infer_version(path)
    try:
        written = datetime.fromtimestamp(state.st_mtime, UTC)
    except (ValueError, OverflowError):  # some file systems keep years beyond 9999
        written = datetime.max.replace(tzinfo=UTC)
    ref = PayloadRef(
        path=path,
        size=state.st_size,
        mtime_ns=state.st_mtime_ns,
        version=version,
        train_all=train_all,
        created=facts.created or written,
        facts=facts,
        label="",
    )
    return replace(ref, label=_describe(ref))


def discover_payloads(roots: Sequence[Path] | None = None) -> PayloadList:
    """Find every payload below the roots, newest first, with labels that tell them apart.

    Links are followed as long as they stay below a root. The search has limits
    (`analysis.files.roots` and `MAX_PAYLOADS`); a notice says where it met one.
    """
    roots = allowed_roots() if roots is None else [Path(root).resolve() for root in roots]
    notices: list[str] = []
    states: dict[Path, os.stat_result] = {}
    for path in find_payload_files(roots, notices):
        if len(states) == MAX_PAYLOADS:
            notices.append(
                _("More than {max_payloads} payloads: only the first are listed.").format(
                    max_payloads=MAX_PAYLOADS
                )
            )
            break
        with contextlib.suppress(OSError):  # gone since the folder was listed
            path = path.resolve()
            states[path] = path.stat()
    sidecars = read_sidecars(list(states.items()))
    refs = {
        path: _build_ref(path, state, facts)
        for (path, state), facts in zip(states.items(), sidecars, strict=True)
    }
    newest_first = sorted(refs.values(), key=lambda ref: (ref.created, str(ref.path)), reverse=True)
    return PayloadList(_tell_apart(newest_first, roots), notices)


def short_names(refs: Sequence[PayloadRef], among: Sequence[PayloadRef] | None = None) -> list[str]:
    """Return a legend name for each ref, unique among them: the version, then date, then path.

    Args:
        refs: The payloads to name.
        among: All payloads that a reader may know; where every one was made with ``train_all``,
            no name says so.
    """
    is_shared = among is not None and len(among) > 1 and all(ref.train_all for ref in among)
    names = [ref.version if is_shared and ref.version else ref.name for ref in refs]
    for more in (
        lambda ref: f"{ref.created:%Y-%m-%d %H:%M}",
        lambda ref: to_printable(str(ref.path)),
    ):
        shared = Counter(names)
        names = [
            f"{name}, {more(ref)}" if shared[name] > 1 else name
            for name, ref in zip(names, refs, strict=True)
        ]
    return names


def _infer_version(path: Path) -> tuple[str | None, bool | None]:
    """Read version and train_all from `outputs/[<version>/][train_all/]feature_stats/<file>`."""
    folder = path.parent.parent
    train_all = folder.name == "train_all"
    if train_all:
        folder = folder.parent
    if folder.parent.name == LOG_DIR:
        return folder.name, train_all
    return None, train_all if folder.name == LOG_DIR else None


def _describe(ref: PayloadRef) -> str:
    """Join what is known; a file without JSON shows its path, after the version that it tells."""
    if not ref.facts.known:
        version = () if ref.version is None else (ref.name,)
        date = _("{created:%Y-%m-%d %H:%M} UTC").format(created=ref.created)
        return " · ".join((*version, to_printable(str(ref.path)), date))
    return " · ".join(part for part in _list_parts(ref) if part)


def _list_parts(ref: PayloadRef) -> list[str | None]:
    """Return what a label is made of, the version first, always as many."""
    facts = ref.facts
    return [
        ref.version or _("no version"),
        "train_all" if ref.train_all else None,
        facts.backbone,
        _describe_adapter(facts),
        None
        if facts.num_images is None
        else _("{num_images} images").format(num_images=facts.num_images),
        _("{created:%Y-%m-%d %H:%M} UTC").format(created=ref.created),
    ]


def _describe_adapter(facts: Sidecar) -> str | None:
    if facts.lora_error:
        return _("LoRA failed")
    return {True: _("LoRA"), False: _("frozen"), None: None}[facts.used_lora]


def _tell_apart(refs: Sequence[PayloadRef], roots: Sequence[Path]) -> list[PayloadRef]:
    shown = {ref.path: _relative(ref.path, roots) for ref in refs}
    if len(set(shown.values())) < len(refs):
        shown = {ref.path: str(ref.path) for ref in refs}
    labels = _leave_out_shared(refs)
    shared = Counter(labels)
    result: list[PayloadRef] = []
    for ref, label in zip(refs, labels, strict=True):
        if not ref.facts.known:
            label = label.replace(to_printable(str(ref.path)), to_printable(shown[ref.path]), 1)
        elif shared[label] > 1:
            label = f"{label} · {to_printable(shown[ref.path])}"
        result.append(replace(ref, label=label))
    return result


def _leave_out_shared(refs: Sequence[PayloadRef]) -> list[str]:
    """Return the labels without what all of them say, which a narrow menu has no room for.

    Of long versions that begin alike only the ends stay; the date stays where nothing else tells
    two apart.
    """
    known = {ref.path: _list_parts(ref) for ref in refs if ref.facts.known}
    if len(known) < 2:
        return [ref.label for ref in refs]
    columns = list(zip(*known.values(), strict=True))
    kept = [place for place, values in enumerate(columns) if not place or len(set(values)) > 1]
    start = _measure_shared_start([str(version) for version in columns[0]])
    if start:
        for parts in known.values():
            parts[0] = f"…{str(parts[0])[start:]}"
    undated = [place for place in kept if place < len(columns) - 1]
    short = {path: _join(parts, undated) for path, parts in known.items()}
    shared = Counter(short.values())
    return [
        short.get(ref.path, ref.label)
        if shared[short.get(ref.path, "")] < 2
        else _join(known[ref.path], kept)
        for ref in refs
    ]


def _join(parts: Sequence[str | None], places: Sequence[int]) -> str:
    return " · ".join(parts[place] or "" for place in places if parts[place])


def measure_common_start(names: Sequence[str]) -> int:
    """Return how many letters all names begin with, up to and with a separator."""
    common = os.path.commonprefix(list(names))  # noqa: RUF071  # by letters, as meant
    return max(common.rfind(separator) for separator in SEPARATORS) + 1


def _measure_shared_start(versions: Sequence[str]) -> int:
    """Return how many letters all versions begin with, up to a separator; 0 where they are few."""
    start = measure_common_start(versions)
    return start if start >= LONG_START and all(len(v) > start for v in versions) else 0


def _relative(path: Path, roots: Sequence[Path]) -> str:
    return next(
        (str(path.relative_to(root)) for root in roots if path.is_relative_to(root)), str(path)
    )
