"""`python -m analysis compare A.pt B.pt`: what differs, for people and for pipelines.

Exit codes: 0 compared, 1 the drift exceeds `--max-drift`, 2 the two cannot be compared or the
input is wrong (one line on stderr).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import ConfigError, InputError
from analysis.payload.discovery import load_ref, short_names
from analysis.payload.table import StatsTable, build_table
from analysis.read.compare.drift import (
    Comparison,
    Severity,
    compare_tables,
    compare_top_channels,
    have_same_images,
)
from analysis.read.compare.findings import describe_comparison
from analysis.read.compare.noise_table import NoiseTable, compare_noise
from analysis.read.compare.outlier_change import find_outlier_change
from analysis.vocabulary import Representation, TokenRole

EXIT_DRIFT = 1
EXIT_CANNOT_COMPARE = 2
TOP = 20
"""Channels of each layer whose coming and going is listed."""


@dataclass(frozen=True)
class ComparedFiles:
    """Two payloads and what differs."""

    names: tuple[str, str]
    tables: tuple[StatsTable, StatsTable]
    comparison: Comparison
    noise: NoiseTable | None
    """None where nothing can be compared number by number."""

    @property
    def max_drift(self) -> float | None:
        """The largest drift of all layers, representations and roles."""
        drift = self.comparison.drift
        return None if drift is None else float(drift.max())


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; the README documents every flag in it (held by a test)."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis compare",
        description="Say what differs between two payloads, and whether it is more than noise.",
    )
    add = parser.add_argument
    add("a", type=Path, metavar="A.pt", help="the payload to compare from")
    add("b", type=Path, metavar="B.pt", help="the payload to compare with")
    add("--html", type=Path, metavar="FILE", help="write a report that opens without a network")
    add("--json", action="store_true", help="print the comparison as JSON")
    add("--max-drift", type=float, metavar="X", help="exit with 1 if a layer's drift exceeds X")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Compare two payloads and return the exit code."""
    flags = build_parser().parse_args(arguments)
    try:
        if flags.max_drift is not None and not flags.max_drift >= 0:
            raise ConfigError(f"--max-drift {flags.max_drift}: must be 0 or more.")
        compared = compare_files(flags.a, flags.b)
        if flags.html:
            from analysis.show.report.comparison import save_report

            save_report(compared, flags.html)
    except InputError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return EXIT_CANNOT_COMPARE
    if flags.json:
        print(json.dumps(build_json(compared), indent=1, allow_nan=False))
    else:
        print("\n".join(_describe(compared)))
    if compared.comparison.severity is Severity.RED or compared.max_drift is None:
        return EXIT_CANNOT_COMPARE
    limit = math.inf if flags.max_drift is None else flags.max_drift
    return EXIT_DRIFT if compared.max_drift > limit else 0


def compare_files(a: Path, b: Path) -> ComparedFiles:
    """Read two payloads and compare them.

    Raises:
        PayloadError: If one of them cannot be read or is no payload; names path and key.
    """
    from analysis.payload.file import load_payload

    names = short_names([load_ref(path) for path in (a, b)])
    payloads = [load_payload(path) for path in (a, b)]
    tables = build_table(payloads[0]), build_table(payloads[1])
    comparison = compare_tables(*tables, names=(names[0], names[1]))
    noise = None
    if comparison.drift is not None:
        first, second = (payload.get("extras") for payload in payloads)
        noise = compare_noise(
            first, second, comparison.layers, same_images=have_same_images(*tables)
        )
    return ComparedFiles((names[0], names[1]), tables, comparison, noise)


def build_json(compared: ComparedFiles) -> dict[str, Any]:
    """Return the comparison in plain types; the README documents every key.

    What cannot be told is None; `cells` and `outliers` are empty where nothing can be compared
    number by number.
    """
    comparison = compared.comparison
    return {
        "comparability": comparison.severity.value,
        "reasons": [
            {"topic": r.topic, "severity": r.severity.value, "sentence": r.sentence}
            for r in comparison.reasons
        ],
        "max_drift": compared.max_drift,
        "cells": _list_cells(comparison.drift, compared.noise),
        "outliers": [] if comparison.drift is None else _list_outliers(compared),
    }


def _list_cells(
    drift: NDArray[np.float64] | None, noise: NoiseTable | None
) -> list[dict[str, Any]]:
    if drift is None or noise is None:
        return []
    rows = []
    for index in np.ndindex(drift.shape):
        floor = float(noise.noise_floor[index])
        tested = not math.isnan(floor)
        row = {
            "drift": float(drift[index]),
            "noise_floor": floor if tested else None,
            "flagged_channels": int(noise.flagged_channels[index]) if tested else None,
        }
        rows.append(_name_cell(noise.layers, index) | row)
    return rows


def _list_outliers(compared: ComparedFiles) -> list[dict[str, Any]]:
    layers, rows = compared.comparison.layers, []
    for index in np.ndindex(len(layers), len(Representation), len(TokenRole)):
        cell = _name_cell(layers, index)
        top = compare_top_channels(
            *compared.tables,
            cell["layer"],
            tuple(Representation)[index[1]],
            tuple(TokenRole)[index[2]],
            k=TOP,
        )
        channels, status = top.frame["channel"], top.frame["status"]
        lists = {name: channels[status == name].tolist() for name in ("new", "gone", "kept")}
        rows.append(cell | lists | {"jaccard": float(top.jaccard)})
    return rows


def _name_cell(layers: NDArray[np.int64], index: tuple[int, ...]) -> dict[str, Any]:
    return {
        "layer": int(layers[index[0]]),
        "representation": tuple(Representation)[index[1]].value,
        "role": tuple(TokenRole)[index[2]].value,
    }


def _describe(compared: ComparedFiles) -> list[str]:
    """Return the comparison as lines for a terminal."""
    comparison, noise = compared.comparison, compared.noise
    lines = [
        f"{compared.names[0]} against {compared.names[1]}: {comparison.severity}",
        *(f"  {r.severity:5}  {r.sentence}" for r in comparison.reasons),
    ]
    if comparison.drift is None or noise is None:
        return [*lines, "Nothing can be compared number by number."]
    index = np.unravel_index(int(comparison.drift.argmax()), comparison.drift.shape)
    index = tuple(int(i) for i in index)
    cell, floor = _name_cell(noise.layers, index), float(noise.noise_floor[index])
    lines.append(
        f"Largest drift: {comparison.drift[index]:.4g} at layer {cell['layer']}, "
        f"{cell['representation']}, {cell['role']} tokens"
        + ("." if math.isnan(floor) else f"; chance alone gives {floor:.4g}.")
    )
    return [*lines, *find_sentences(compared)]


def find_sentences(compared: ComparedFiles) -> list[str]:
    """Return what was found in sentences, of the block outputs; none where nothing was compared."""
    if compared.noise is None:
        return []
    pre = Representation.PRE
    change = find_outlier_change(*compared.tables, compared.noise.layers, pre)
    found = describe_comparison(compared.noise, pre, change, compared.names)
    said = [finding.sentence for finding in found]
    return said + [note for note in compared.noise.notes if note not in said]
