"""The entries of one payload: its summary, and its comparison with a baseline."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from analysis.errors import InputError, PayloadError
from analysis.jobs.summaries.store import pair_key, payload_key, probe_key, save_entries
from analysis.payload.features import read_features
from analysis.payload.fingerprint import Fingerprint, fingerprint_file
from analysis.payload.reading import Reading
from analysis.read.compare.comparison import compare
from analysis.read.summary import compare_summary, summarize, to_json
from analysis.read.worth import best_probe

NAMES = ("the baseline", "this version")
"""What the reasons call the two, which may be renamed later."""

Entries = dict[str, tuple[str | None, str | None]]
Read = Callable[[Fingerprint], Reading]


def make_entries(file: Fingerprint, baseline: Fingerprint | None, read: Read) -> None:
    """Compute and store what a list shows of a payload; what is wrong with it is stored too.

    Nothing is stored of a file that is replaced meanwhile.

    Args:
        file: Fingerprint of the payload.
        baseline: Fingerprint of what it is compared with; None for nothing.
        read: Reads the payload of a fingerprint.
    """
    try:
        reading = read(file)
        entries: Entries = {payload_key(file): (to_json(summarize(reading)), None)}
        if baseline is not None and baseline != file:
            entries |= _compare(file, baseline, reading, read)
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


def _compare(file: Fingerprint, baseline: Fingerprint, reading: Reading, read: Read) -> Entries:
    try:
        comparison = compare(read(baseline), reading, names=NAMES)
        found = to_json(compare_summary(comparison)), None
    except (InputError, OSError) as error:
        found = None, str(error)
    return {pair_key(file, baseline): found}


def _problem(file: Fingerprint, baseline: Fingerprint | None, problem: str) -> Entries:
    keys = [payload_key(file)]
    if baseline is not None and baseline != file:
        keys.append(pair_key(file, baseline))
    return dict.fromkeys(keys, (None, problem))
