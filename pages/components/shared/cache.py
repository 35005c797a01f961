"""What is read from disk is kept by the file's fingerprint: a rewritten file is read anew."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import streamlit as st

from analysis import language
from analysis.jobs.reader import open_payload
from analysis.language import _
from analysis.payload.annotations import Annotations, load_annotations
from analysis.payload.discovery import PayloadList, PayloadRef, discover_payloads
from analysis.payload.fingerprint import fingerprint_file
from analysis.payload.reading import Reading
from analysis.read.checks import Check
from analysis.read.consistency import check_reading
from pages.components.shared.version import Version

KEPT_READINGS = 16
"""A table of the largest backbone takes 12 MB; extras stay on the disk until asked for."""

_were_read: set[tuple[str, int, int]] = set()
"""Fingerprints of files; the next reading of one takes no time, as a rule."""

KEPT = 64
"""Results kept of each function."""

Given = ParamSpec("Given")
Result = TypeVar("Result")


def _key_of_reading(reading: Reading) -> tuple[object, ...]:
    return reading.fingerprint or (id(reading),)


def _key_of_version(version: Version) -> tuple[object, ...]:
    return version.name, *_key_of_reading(version.reading)


KEYS: dict[str | type, Callable[[Any], object]] = {
    Reading: _key_of_reading,
    Version: _key_of_version,
    PayloadRef: lambda ref: ref.fingerprint,
}
"""What stands for an argument in the key of a cache."""


def find_payloads() -> PayloadList:
    """Return the payloads below the allowed roots; the disk is walked every three seconds.

    All sessions of a language share one list, which nobody changes: to copy hundreds for every
    caller takes longer than to draw their table.
    """
    return _find_payloads(language.current())


@st.cache_resource(ttl=3, show_spinner=False)
def read_annotations() -> Annotations:
    """Return what is said of the payloads; read every three seconds, or after `forget_lists`.

    All sessions share it too.
    """
    return load_annotations()


def forget_lists() -> None:
    """Look at the disk again: which payloads there are, and what is said of them."""
    _find_payloads.clear()
    read_annotations.clear()


def by_file(
    *, spinner: str | None = None, seconds: float | None = None
) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
    """Keep what a function computes, as long as the files that its arguments were read from stay.

    Each language has results of its own, since many hold sentences.

    Readings and versions are told apart by the fingerprint of their file, all other arguments by
    their value. Every call returns a copy of its own.

    Args:
        spinner: What the page says while the function runs; nothing where None.
        seconds: How long a result is kept; until others take its place where None.
    """

    def keep(function: Callable[Given, Result]) -> Callable[Given, Result]:
        caches = {each: keep_in(each, function) for each in language.LANGUAGES}

        @wraps(function)
        def call(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            return caches[language.current()](*args, **kwargs)

        return call

    def keep_in(name: str, function: Callable[Given, Result]) -> Callable[Given, Result]:
        @wraps(function)
        def named(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            return function(*args, **kwargs)

        named.__qualname__ += f" in {name}"  # or Streamlit would take all of them for one
        with language.use(name):
            return st.cache_data(
                max_entries=KEPT,
                show_spinner=False if spinner is None else _(spinner),
                ttl=seconds,
                hash_funcs=KEYS,
            )(named)

    return keep


def read(ref: PayloadRef) -> Reading:
    """Return what the payload holds; one read-only copy serves all sessions.

    Raises:
        PayloadError: If the file is not a payload; the message names the key at fault.
    """
    # asked anew each time: the list of payloads may be some seconds old
    fingerprint = fingerprint_file(ref.path)
    if fingerprint in _were_read:
        return _read(*fingerprint)
    with st.spinner(_("Reading the payload …")):
        reading = _read(*fingerprint)
    _were_read.add(fingerprint)
    return reading


@by_file()
def check_table(reading: Reading) -> list[Check]:
    """Return the sanity laws of the payload and whether each holds."""
    return check_reading(reading)


@st.cache_resource(ttl=3, show_spinner=False)
def _find_payloads(spoken: str) -> PayloadList:
    del spoken  # part of the key only: labels and notices are in the language of the first reader
    return discover_payloads()


@cache
def _make_upload_folder() -> tempfile.TemporaryDirectory[str]:
    # None of Streamlit's caches, which every browser may clear for everybody.
    return tempfile.TemporaryDirectory(prefix="dinov3-uploads-")


def upload_folder() -> Path:
    """Return the folder that keeps uploaded payloads while the server lives."""
    return Path(_make_upload_folder().name)


def is_upload(ref: PayloadRef) -> bool:
    """Return whether a payload was uploaded: its folder means nothing to anybody."""
    return ref.path.is_relative_to(upload_folder())


@st.cache_resource(max_entries=KEPT_READINGS, show_spinner=False)
def _read(path: str, size: int, mtime_ns: int) -> Reading:
    del size, mtime_ns  # part of the key only
    return open_payload(path)
