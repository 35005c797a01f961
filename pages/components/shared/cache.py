"""What is read from disk is kept by the file's fingerprint: a rewritten file is read anew."""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from analysis.payload.annotations import Annotations, load_annotations
from analysis.payload.discovery import PayloadList, PayloadRef, discover_payloads
from analysis.payload.extras import ExtraTable, load_extras
from analysis.payload.table import StatsTable, load_table
from analysis.read.checks import Check, run_checks

KEPT_TABLES = 16
"""A table of the largest backbone takes 12 MB."""


@st.cache_data(ttl=3, show_spinner=False)
def find_payloads() -> PayloadList:
    """Return the payloads below the allowed roots; the disk is walked every three seconds."""
    return discover_payloads()


@st.cache_data(ttl=3, show_spinner=False)
def read_annotations() -> Annotations:
    """Return what is said of the payloads; read every three seconds, or after `forget_lists`."""
    return load_annotations()


def forget_lists() -> None:
    """Look at the disk again: which payloads there are, and what is said of them."""
    find_payloads.clear()
    read_annotations.clear()


def read_table(ref: PayloadRef) -> StatsTable:
    """Return the payload's numbers as one array.

    Raises:
        PayloadError: If the file is not a payload; the message names the key at fault.
    """
    return _share_table(*_fingerprint(ref.path))


def read_extras(ref: PayloadRef) -> ExtraTable:
    """Return the optional parts of the payload, each read when it is asked for.

    Raises:
        PayloadError: If the file is not a payload.
    """
    return _read_extras(*_fingerprint(ref.path))


def check_table(ref: PayloadRef) -> list[Check]:
    """Return the sanity laws of the payload and whether each holds.

    Raises:
        PayloadError: If the file is not a payload.
    """
    return _check_table(*_fingerprint(ref.path))


def _fingerprint(path: Path) -> tuple[str, int, int]:
    # asked anew each time: the list of payloads may be some seconds old
    state = path.stat()
    return str(path), state.st_size, state.st_mtime_ns


@st.cache_resource(show_spinner=False)
def upload_folder() -> Path:
    """Return the folder that keeps uploaded payloads while the server lives."""
    return Path(tempfile.mkdtemp(prefix="dinov3-uploads-"))


@st.cache_data(max_entries=KEPT_TABLES, show_spinner="Reading the payload …")
def _read_table(path: str, size: int, mtime_ns: int) -> StatsTable:
    del size, mtime_ns  # part of the key only
    return load_table(path)


@st.cache_resource(max_entries=KEPT_TABLES, show_spinner=False)
def _share_table(path: str, size: int, mtime_ns: int) -> StatsTable:
    # What `cache_data` keeps is copied at every call: twenty visitors held 2 GB of copies.
    table = _read_table(path, size, mtime_ns)
    for array in (table.values, table.counts, table.layers):
        array.setflags(write=False)
    return table


@st.cache_resource(max_entries=KEPT_TABLES, show_spinner="Reading the payload …")
def _read_extras(path: str, size: int, mtime_ns: int) -> ExtraTable:
    del size, mtime_ns  # part of the key only
    return load_extras(path)


@st.cache_data(max_entries=KEPT_TABLES, show_spinner=False)
def _check_table(path: str, size: int, mtime_ns: int) -> list[Check]:
    return run_checks(_share_table(path, size, mtime_ns))
