"""The versions as Home lists them: what is said, stored and computed of each payload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
from analysis.payload.annotations import Annotation
from analysis.payload.discovery import PayloadRef, load_ref
from analysis.payload.fingerprint import Fingerprint
from analysis.payload.reading import Reading
from analysis.read.summary import DriftSummary, Summary
from pages.components.frame import picker
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

    @property
    def is_known(self) -> bool:
        """Return whether all that is to be computed has been."""
        return self.summary is not None and (self.is_baseline or self.drift is not None)


def list_rows(refs: Sequence[PayloadRef], baseline: PayloadRef) -> list[Row]:
    """Return the rows of payloads, those of which nothing is stored yet included.

    A few that are missing are computed here, many in the background.
    """
    files = [ref.fingerprint for ref in refs]
    found = _find(tuple(files), baseline.fingerprint, read_stamp())
    missing = found.list_missing(files, baseline.fingerprint)
    if missing and len(missing) <= FEW and not is_running():
        with st.spinner("Reading the payloads …"):
            for file in missing:
                make_entries(file, baseline.fingerprint, _read)
        found = _find(tuple(files), baseline.fingerprint, read_stamp())
    elif missing:
        start_missing(missing, baseline.fingerprint)
    said = cache.read_annotations()
    return [
        Row(
            ref,
            name,
            said.of(ref.path),
            ref.key == baseline.key,
            found.payloads.get(file),
            found.drifts.get(file),
        )
        for ref, name, file in zip(refs, picker.name_refs(refs), files, strict=True)
    ]


@st.cache_resource(max_entries=8, show_spinner=False)
def _find(files: tuple[Fingerprint, ...], baseline: Fingerprint, stamp: int) -> Found:
    del stamp  # part of the key only
    return find_summaries(files, baseline)


def _read(file: Fingerprint) -> Reading:
    return cache.read(load_ref(Path(file[0])))
