"""The entries of one payload: its summary, and its comparison with a baseline."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path

from analysis.errors import InputError, PayloadError
from analysis.jobs.summaries.store import pair_key, payload_key, probe_key, save_entries
from analysis.payload.features import read_features
from analysis.payload.fingerprint import Fingerprint, fingerprint_file
from analysis.payload.index import Index, open_index
from analysis.payload.reading import Reading
from analysis.read.compare.comparison import compare
from analysis.read.compare.drift import have_same_images
from analysis.read.compare.noise_table import SharedBaseline
from analysis.read.summary import (
    Summary,
    compare_summary,
    parse_summary,
    share_baseline,
    summarize,
    to_json,
)
from analysis.read.worth import best_probe

NAMES = ("the baseline", "this version")
"""What the reasons call the two, which may be renamed later."""

Entries = dict[str, tuple[str | None, str | None]]
Read = Callable[[Fingerprint], Reading]


def make_entries(
    file: Fingerprint,
    baseline: Fingerprint | None,
    read: Read,
    *,
    many: bool = False,
    by_index: bool = True,
) -> None:
    """Compute and store what a list shows of a payload; what is wrong with it is stored too.

    By the indices beside the two where these suffice, by the payloads else. Nothing is stored of a
    file that is replaced meanwhile.

    Args:
        file: Fingerprint of the payload.
        baseline: Fingerprint of what it is compared with; None for nothing.
        read: Reads the payload of a fingerprint.
        many: Whether others follow with the same baseline, whose image groups stay in memory.
        by_index: Whether the indices may be opened: not by a server, which opens no file of a
            stranger but through `read`.
    """
    read = cache(read)
    index = open_index(file) if by_index else None
    try:
        entries: Entries = {payload_key(file): (to_json(_summarize(file, index, read)), None)}
        if baseline is not None and baseline != file:
            entries |= _compare(file, index, baseline, read, many=many)
    except (InputError, OSError) as error:
        entries = _problem(file, baseline, str(error))
    with contextlib.suppress(PayloadError):  # gone meanwhile
        if fingerprint_file(file[0]) == file:
            save_entries(entries)


def make_probe(file: Fingerprint, read: Read) -> None:
    """Compute and store the best probe of a payload's vectors; what is wrong is stored too."""
    try:
        features = read_features(Path(file[0]), read(file).table)
        entry = best_probe.to_json(best_probe.find_best_probe(features)), None
    except (InputError, OSError) as error:
        entry = None, str(error)
    with contextlib.suppress(PayloadError):  # gone meanwhile
        if fingerprint_file(file[0]) == file:
            save_entries({probe_key(file): entry})


def save_probe_problem(file: Fingerprint, problem: str) -> None:
    """Store why nothing is known of the probes of a payload's vectors."""
    save_entries({probe_key(file): (None, problem)})


def save_problem(file: Fingerprint, baseline: Fingerprint | None, problem: str) -> None:
    """Store why nothing is known of a payload."""
    save_entries(_problem(file, baseline, problem))


def _summarize(file: Fingerprint, index: Index | None, read: Read) -> Summary:
    if index is not None:
        with contextlib.suppress(ValueError, TypeError, KeyError):  # of another format, or damaged
            return parse_summary(index.summary)
    return summarize(read(file))


def _compare(
    file: Fingerprint, index: Index | None, baseline: Fingerprint, read: Read, *, many: bool
) -> Entries:
    """Compare by the indices where the images are the same: else the lists of images are asked."""
    first, shared = _open_baseline(baseline) if index else None, None
    try:
        if index and first and have_same_images(first.reading.table, index.reading.table):
            readings = first.reading, index.reading
            shared = _share_baseline(baseline) if many else None
        else:
            readings = read(baseline), read(file)
        found = to_json(compare_summary(compare(*readings, names=NAMES), shared)), None
    except (InputError, OSError) as error:
        found = None, str(error)
    return {pair_key(file, baseline): found}


@lru_cache(maxsize=1)
def _open_baseline(file: Fingerprint) -> Index | None:
    return open_index(file)


@lru_cache(maxsize=1)
def _share_baseline(file: Fingerprint) -> SharedBaseline | None:
    index = _open_baseline(file)
    return None if index is None else share_baseline(index.reading)


def _problem(file: Fingerprint, baseline: Fingerprint | None, problem: str) -> Entries:
    keys = [payload_key(file)]
    if baseline is not None and baseline != file:
        keys.append(pair_key(file, baseline))
    return dict.fromkeys(keys, (None, problem))
