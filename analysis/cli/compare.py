"""`python -m analysis compare BASELINE VERSION`: what differs, for people and for pipelines.

Exit codes: 0 compared, 1 a limit (`--max-drift`, `--max-ratio`) is exceeded, 2 the two cannot be
compared or the input is wrong (one line on stderr).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.cli.written_files import RunFile, is_report, refuse_foreign
from analysis.errors import ConfigError, InputError
from analysis.files.atomic import replace_file
from analysis.files.paths import path_flag
from analysis.language import LANGUAGES, SOURCE, use
from analysis.read.compare.comparison import Comparison, compare
from analysis.read.compare.compatibility import Severity
from analysis.read.compare.findings import NEGLIGIBLE, OTHER_IMAGES, make_scale
from analysis.vocabulary import Cell, TokenRole, cell_at, list_cells

EXIT_DRIFT = 1
EXIT_CANNOT_COMPARE = 2


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; the README documents every flag in it (held by a test)."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis compare",
        description="Say what differs between two payloads, and whether it is more than noise.",
    )
    add = parser.add_argument
    add("baseline", type=path_flag, metavar="BASELINE", help="the payload to compare with")
    add("version", type=path_flag, metavar="VERSION", help="the payload that is judged")
    add(
        "--html", type=path_flag, metavar="FILE", help="write a report that opens without a network"
    )
    add("--lang", choices=list(LANGUAGES), default=SOURCE, help="the language of the report")
    add("--json", action="store_true", help="print the comparison as JSON")
    add(
        "--max-drift",
        type=float,
        metavar="X",
        help="exit with 1 if a cell drifts by more than X, noise taken off",
    )
    add(
        "--max-ratio",
        type=float,
        metavar="R",
        help="exit with 1 if the stds of a cell are more than R times as large or as small",
    )
    add(
        "--negligible",
        type=float,
        metavar="X",
        default=NEGLIGIBLE,
        help=f"call drifts below X standard deviations negligible ({NEGLIGIBLE})",
    )
    add("--role", choices=list(TokenRole), help="let the limits hold for these tokens only")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Compare two payloads and return the exit code."""
    flags = build_parser().parse_args(arguments)
    try:
        if flags.html:
            refuse_foreign(RunFile("--html", flags.html), is_report, "a report")
        if flags.max_drift is not None and not flags.max_drift >= 0:
            raise ConfigError(f"--max-drift {flags.max_drift}: must be 0 or more.")
        if flags.max_ratio is not None and not flags.max_ratio >= 1:
            raise ConfigError(f"--max-ratio {flags.max_ratio}: must be 1 or more.")
        if not flags.negligible >= 0:
            raise ConfigError(f"--negligible {flags.negligible}: must be 0 or more.")
        comparison = compare(flags.baseline, flags.version)
        _ = comparison.noise  # groups that contradict each other are refused here
        if flags.html:
            _write_report(comparison, flags.html, flags.negligible, flags.lang)
    except InputError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return EXIT_CANNOT_COMPARE
    if flags.json:
        print(json.dumps(build_json(comparison), indent=1, allow_nan=False))
    else:
        print("\n".join(_describe(comparison, flags.negligible)))
    if comparison.severity is Severity.RED or comparison.max_drift is None:
        return EXIT_CANNOT_COMPARE
    role = None if flags.role is None else TokenRole(flags.role)
    return EXIT_DRIFT if _exceeds(comparison, role, flags.max_drift, flags.max_ratio) else 0


def _exceeds(
    comparison: Comparison,
    role: TokenRole | None,
    max_drift: float | None,
    max_ratio: float | None,
) -> bool:
    """Return whether a cell drifts beyond a limit, freed of what chance adds where it is known."""
    freed, log_ratio = comparison.excess, comparison.log_ratio
    if freed is None or log_ratio is None:
        return False
    where = slice(None) if role is None else role.position
    drifts = bool((freed[..., where] > (math.inf if max_drift is None else max_drift)).any())
    limit = math.inf if max_ratio is None else math.log(max_ratio)
    return drifts or bool((np.abs(log_ratio[..., where]) > limit).any())


def _write_report(comparison: Comparison, path: Path, negligible: float, language: str) -> None:
    from analysis.show.report.comparison import build_report

    try:
        with use(language), replace_file(path) as file:
            if language != SOURCE:  # the sentences of a comparison keep the language of its making
                comparison = replace(comparison)
            file.write(build_report(comparison, negligible).encode())
    except OSError as error:
        raise ConfigError(
            f"--html {path}: cannot be written ({error.strerror or error}). Choose another path."
        ) from error


def build_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison in plain types; the README documents every key.

    What cannot be told is None; `cells` and `outliers` are empty where nothing can be compared
    number by number.
    """
    return {
        "comparability": comparison.severity.value,
        "reasons": [
            {"topic": r.topic, "severity": r.severity.value, "sentence": r.sentence}
            for r in comparison.reasons
        ],
        "baseline": comparison.names[0],
        "version": comparison.names[1],
        "max_drift": comparison.max_drift,
        "degenerate_cells": comparison.degenerate,
        "cells": _list_differences(comparison),
        "outliers": [] if comparison.drift is None else _list_outliers(comparison),
    }


def _list_differences(comparison: Comparison) -> list[dict[str, Any]]:
    drift, noise = comparison.drift, comparison.noise
    excess, log_ratio = comparison.excess, comparison.log_ratio
    if drift is None or noise is None or excess is None or log_ratio is None:
        return []
    rows = []
    for index, cell in list_cells(comparison.layers):
        floor = float(noise.noise_floor[index])
        tested = not math.isnan(floor)
        row = {
            "drift": _number(drift[index]),
            "excess": _number(excess[index]),
            "log_ratio": _number(log_ratio[index]),
            "noise_floor": floor if tested else None,
            "noise_band": _number(noise.noise_band[index]),
            "beyond_noise": bool(noise.beyond[index]) if tested else None,
            "flagged_channels": int(noise.flagged_channels[index]) if tested else None,
        }
        rows.append(_as_json(cell) | row)
    return rows


def _list_outliers(comparison: Comparison) -> list[dict[str, Any]]:
    rows = []
    for _, cell in list_cells(comparison.layers):
        top = comparison.top(cell)
        channels, status = top.frame["channel"], top.frame["status"]
        lists = {name: channels[status == name].tolist() for name in ("new", "gone", "kept")}
        rows.append(_as_json(cell) | lists | {"jaccard": top.jaccard})
    return rows


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _as_json(cell: Cell) -> dict[str, Any]:
    layer, representation, role = cell
    return {"layer": layer, "representation": representation.value, "role": role.value}


def _describe(comparison: Comparison, negligible: float) -> list[str]:
    """Return the comparison as lines for a terminal."""
    lines = [
        f"{comparison.names[1]} against {comparison.names[0]}: {comparison.severity}",
        *(f"  {r.severity:5}  {r.sentence}" for r in comparison.reasons),
    ]
    drift, noise = comparison.drift_judged, comparison.noise
    if drift is None or noise is None or np.isnan(drift).all():
        return [*lines, "Nothing can be compared number by number."]
    index = np.unravel_index(int(np.nanargmax(drift)), drift.shape)
    cell = cell_at(comparison.layers, index)
    floor = float(noise.noise_floor[index])
    images = comparison.common_images
    lines.append(
        ("" if images is None or images.any else OTHER_IMAGES)
        + f"Largest drift: {drift[index]:.4g} at layer {cell.layer}, "
        f"{cell.representation}, {cell.role} tokens"
        + ("." if math.isnan(floor) else f"; chance alone gives {floor:.4g}.")
    )
    if comparison.degenerate:
        lines.append(
            f"{comparison.degenerate} cells have no drift: a single token, or no channel varies."
        )
    return [*lines, *comparison.describe(make_scale(negligible))]
