"""A payload as it is read: its table, its extras and its `meta`, from one look at the file.

Torch is imported only when a file is read for the first time; afterwards the arrays come from a
cache without torch (`analysis.payload.array_cache`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import PartAbsentError, PayloadError
from analysis.language import _
from analysis.payload.array_cache import open_arrays, save_arrays
from analysis.payload.extras import ExtraTable, Part, build_extras
from analysis.payload.extras_arrays import build_parts
from analysis.payload.fingerprint import Fingerprint, fingerprint_file
from analysis.payload.table import StatsTable, build_table

_NOTES = "notes"
"""Name of the cached array that holds what `extras` is besides arrays, as JSON."""


@dataclass(frozen=True, eq=False)
class Reading:
    """One payload; its arrays are read-only, so that everybody may share them."""

    table: StatsTable
    """Mean, std and max |x| of every layer, representation, role and channel."""
    open_extras: Callable[[], ExtraTable] | None = field(default=None, repr=False)
    """Reads the extras; None where only the table is at hand."""
    fingerprint: Fingerprint | None = None
    """Of the file that was read; None for a payload that was never a file."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """The payload's `meta`, plain JSON types only."""
        return self.table.meta

    @cached_property
    def extras(self) -> ExtraTable:
        """The optional parts; a payload without any gives a table in which each is absent.

        Raises:
            PayloadError: If they are there but not as specified; names path and key.
        """
        if self.open_extras is None:
            return ExtraTable(self.table.layers, (), (), None, {})
        return self.open_extras()

    def require(self, *parts: Part) -> ExtraTable:
        """Return the extras, which hold these parts.

        Raises:
            PartAbsentError: If the payload lacks one; says why, and what to do.
            PayloadError: If the extras are not as specified.
        """
        for part in parts:
            if not self.extras.has(part):
                raise PartAbsentError(self.extras.why_absent(part))
        return self.extras


def open_payload(path: Path | str, *, keep: bool = True) -> Reading:
    """Read a payload, from the torch-free cache where it stands there unchanged.

    Extras that are not as specified do not keep the table from being read: `Reading.extras` raises.

    Args:
        path: The `.pt` file.
        keep: Whether its arrays are cached. Many payloads in a row would push out of the cache
            those that people look at.

    Raises:
        PayloadError: If the file cannot be read or is no payload; names path and key.
    """
    fingerprint = fingerprint_file(path)
    cached = _open_cached(fingerprint)
    if cached is not None:
        return cached
    from analysis.payload.file import load_payload

    resolved = Path(fingerprint[0])
    table, arrays, notes = _take_apart(load_payload(resolved), resolved)
    if fingerprint_file(resolved) != fingerprint:  # replaced meanwhile: whose numbers are these?
        return Reading(table, lambda: _wrap_extras(arrays, notes))
    if not keep:
        return Reading(table, lambda: _wrap_extras(arrays, notes), fingerprint)
    save_arrays(fingerprint, _join(table, arrays, notes), table.meta)
    # From the disk again, so that the extras do not stay in memory.
    return _open_cached(fingerprint) or Reading(
        table, lambda: _wrap_extras(arrays, notes), fingerprint
    )


def open_cached(
    path: Path | str,
    folder: Path | None = None,
    read_again: Callable[[str], object] | None = None,
) -> Reading | None:
    """Return a payload that stands in the cache; None where it was not read before, or changed.

    Args:
        path: The payload; only its size and time are looked at.
        folder: In place of the folder of the cache.
        read_again: Puts the payload at a path into the cache, should that prove damaged.

    Raises:
        PayloadError: If there is no such file.
    """
    return _open_cached(fingerprint_file(path), folder, read_again)


def build_reading(payload: Mapping[str, Any]) -> Reading:
    """Read a payload that is in memory.

    Args:
        payload: As `analysis.payload.file.load_payload` returns it (tensors or arrays).

    Raises:
        PayloadError: If it is not as specified; names the key.
    """
    table, arrays, notes = _take_apart(payload, None)
    return Reading(table, lambda: _wrap_extras(arrays, notes))


def _open_cached(
    fingerprint: Fingerprint,
    folder: Path | None = None,
    read_again: Callable[[str], object] | None = None,
) -> Reading | None:
    def make_again() -> Mapping[str, NDArray[Any]]:
        (read_again or open_payload)(fingerprint[0])
        again = open_arrays(fingerprint, folder)
        if again is None:
            raise PayloadError(
                _("{path}: the file was replaced while it was shown. Load the page again.").format(
                    path=fingerprint[0]
                )
            )
        return again[0]

    cached = open_arrays(fingerprint, folder, make_again)
    if cached is None:
        return None
    arrays, meta = cached
    table = StatsTable(arrays["values"], arrays["counts"], arrays["layers"], meta)
    return Reading(
        table, lambda: _wrap_extras(arrays, json.loads(arrays[_NOTES].tobytes())), fingerprint
    )


def _take_apart(
    payload: Mapping[str, Any], path: Path | None
) -> tuple[StatsTable, dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the table, the arrays of the extras, and what else is to be known of these."""
    table = build_table(payload)
    try:
        arrays, notes = build_parts(payload)
    except PayloadError as error:
        arrays, notes = {}, {"problem": str(error) if path is None else f"{path}: {error}"}
    for array in (table.values, table.counts, table.layers, *arrays.values()):
        array.setflags(write=False)
    return table, arrays, notes


def _join(
    table: StatsTable, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    return {
        "values": table.values,
        "counts": table.counts,
        "layers": table.layers,
        _NOTES: np.frombuffer(json.dumps(notes).encode(), np.uint8),
        **arrays,
    }


def _wrap_extras(arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> ExtraTable:
    if "problem" in notes:
        raise PayloadError(notes["problem"])
    return build_extras(arrays, notes)
