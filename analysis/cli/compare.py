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
from pathlib import Path

import numpy as np

from analysis.errors import ConfigError, InputError
from analysis.files.atomic import replace_file
from analysis.read.compare.drift import (
    Severity,
)
from analysis.read.compare.files import (
    ComparedFiles,
    build_json,
    compare_files,
    find_sentences,
    name_cell,
)

EXIT_DRIFT = 1
EXIT_CANNOT_COMPARE = 2


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
            _write_report(compared, flags.html)
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


def _write_report(compared: ComparedFiles, path: Path) -> None:
    from analysis.show.report.comparison import build_report

    try:
        with replace_file(path) as file:
            file.write(build_report(compared).encode())
    except OSError as error:
        raise ConfigError(
            f"--html {path}: cannot be written ({error.strerror or error}). Choose another path."
        ) from error


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
    cell, floor = name_cell(noise.layers, index), float(noise.noise_floor[index])
    lines.append(
        f"Largest drift: {comparison.drift[index]:.4g} at layer {cell['layer']}, "
        f"{cell['representation']}, {cell['role']} tokens"
        + ("." if math.isnan(floor) else f"; chance alone gives {floor:.4g}.")
    )
    return [*lines, *find_sentences(compared)]
