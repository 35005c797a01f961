"""The versions as Home lists them: what is said, stored and computed of each payload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import streamlit as st

from analysis.jobs.summaries import (
    Entry,
    Found,
    find_summaries,
    is_running,
    make_entries,
    read_stamp,
    start_missing,
)
from analysis.language import _
from analysis.payload.annotation import Annotation
from analysis.payload.discovery import PayloadRef, load_ref
from analysis.payload.fingerprint import Fingerprint
from analysis.payload.reading import Reading
from analysis.read.families import merge_drifts, name_family
from analysis.read.summary import DriftSummary, Summary
from analysis.read.summary import Row as Numbers
from analysis.read.worth.best_probe import BestProbe
from pages.components.frame import picker
from pages.components.home import probes, scores
from pages.components.shared import cache

FEW = 4
"""Payloads that the server reads itself, which is sooner than starting a process; whoever looks at
the list opens them next."""


@dataclass(frozen=True)
class Row:
    """One version of the list."""

    ref: PayloadRef
    name: str
    """Unique in the list; never to be rendered as HTML."""
    about: Annotation
    is_baseline: bool
    summary: Entry[Summary] | None
    """None while it is being computed."""
    drift: Entry[DriftSummary] | None
    """Against the baseline; None for the baseline itself, or while it is being computed."""
    probe: Entry[BestProbe] | None = None
    """Of the vectors of single images; None where there are none, or while it is computed."""
    members: tuple[Row, ...] = ()
    """The versions that the row stands for, where it stands for several."""
    spread: tuple[Numbers, ...] = ()
    """``[layers][2]``: standard deviation of the members' drifts."""

    @property
    def versions(self) -> tuple[Row, ...]:
        """The versions that the row stands for, one at least."""
        return self.members or (self,)

    @property
    def is_known(self) -> bool:
        """Whether all that is to be computed has been."""
        return self.summary is not None and (self.is_baseline or self.drift is not None)


def list_rows(refs: Sequence[PayloadRef], baseline: PayloadRef) -> list[Row]:
    """Return the rows of payloads, those of which nothing is stored yet included.

    A few that are missing are computed here, many in the background.
    """
    files = [ref.fingerprint for ref in refs]
    found = _find(files, hash(tuple(files)), baseline.fingerprint, read_stamp())
    missing = found.list_missing(files, baseline.fingerprint)
    if 0 < len(missing) <= FEW and not is_running():
        with st.spinner(_("Reading the payloads …")):
            for file in missing:
                make_entries(file, baseline.fingerprint, _read, by_index=False)
        found = _find(files, hash(tuple(files)), baseline.fingerprint, read_stamp())
        missing = found.list_missing(files, baseline.fingerprint)
    has_vectors = probes.find_vectors(refs)
    unprobed = [
        file
        for file, has in zip(files, has_vectors, strict=True)
        if has and file not in found.probes
    ]
    if missing or unprobed:
        start_missing(missing, baseline.fingerprint, unprobed)
    annotations = cache.read_annotations()
    return [
        Row(
            ref,
            name,
            annotations.of(ref.path),
            ref.key == baseline.key,
            found.payloads.get(file),
            found.drifts.get(file),
            found.probes.get(file),
        )
        for ref, name, file in zip(refs, picker.name_refs(refs), files, strict=True)
    ]


def score_by(rows: Sequence[Row], metric: str) -> list[Row]:
    """Return the rows with a number of their metrics files as score; None where they have none."""
    found = scores.read_all([row.ref.path for row in rows])
    return [
        replace(row, about=replace(row.about, score=found.get(row.ref.path, {}).get(metric)))
        for row in rows
    ]


def unite(rows: Sequence[Row], by: str) -> list[Row]:
    """Return the rows with versions that differ only in fold or seed as one, where the first was.

    The baseline stays a row of its own.

    Args:
        rows: One per version.
        by: What tells that: "on" their names, "tags" or "config".
    """
    families: dict[str, list[Row]] = {}
    for row in rows:
        family = None if row.is_baseline else _find_family(row, by)
        families.setdefault(row.ref.key if family is None else f"{family}\0", []).append(row)
    return [members[0] if len(members) == 1 else _merge(members) for members in families.values()]


def _find_family(row: Row, by: str) -> str | None:
    if by == "tags":
        return ", ".join(tag for tag in row.about.tags if name_family(tag) is None) or None
    if by == "config":
        known = None if row.summary is None else row.summary.summary
        return None if known is None else known.recipe
    return name_family(row.about.name or row.ref.name)


def _merge(members: Sequence[Row]) -> Row:
    first = members[0]
    own = first.about.name or first.ref.name
    stem = name_family(own) or own
    scores = [row.about.score for row in members if row.about.score is not None]
    drifts = [row.drift.summary for row in members if row.drift and row.drift.summary]
    family = merge_drifts(drifts) if len(drifts) == len(members) else None
    tags = set[str].intersection(*(set(row.about.tags) for row in members))
    return replace(
        first,
        name=_("{stem} ({count}\N{NO-BREAK SPACE}versions)").format(stem=stem, count=len(members)),
        about=Annotation(tags=tuple(sorted(tags)), score=fmean(scores) if scores else None),
        drift=first.drift if family is None else Entry(family.mean),
        members=tuple(members),
        spread=() if family is None else family.spread,
    )


@st.cache_resource(max_entries=8, show_spinner=False)
def _find(_files: list[Fingerprint], key: int, baseline: Fingerprint, stamp: int) -> Found:
    del key, stamp  # Streamlit takes longer to hash the files than to find what is stored
    return find_summaries(_files, baseline)


def _read(file: Fingerprint) -> Reading:
    return cache.read(load_ref(Path(file[0])))
