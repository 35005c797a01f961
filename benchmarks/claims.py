"""How often a comparison claims what is not there: ``python -m benchmarks.claims``.

Versions are drawn as `tests.factories.null_versions` describes, with other seeds than the tests
have. A claim is a comparison in which any cell is beyond the noise although nothing differs; found
is a comparison in which the one channel that differs by nine standard errors is flagged. One row
per design, written as soon as it is known.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from analysis.read.compare.noise_table import NoiseTable, compare_noise
from tests.factories.null_versions import DISTRIBUTIONS, Design, draw_versions

FIRST_SEED = 1_000_000


TIMES = {12: 100, 32: 50, 40: 40}
"""Comparisons of a design, by its layers."""


def list_designs() -> Iterator[tuple[Design, int]]:
    """Yield each design and how many comparisons to draw of it."""
    for paired in (True, False):
        for name in DISTRIBUTIONS:
            for images in (48, 96):
                for run in (4, 8):
                    yield Design(name, images, 12, paired, run=run), 60
            for images in (16, 48, 300):
                yield Design(name, images, 12, paired, planted=9.0), 60
            for groups in (8, 32):
                design = Design(name, 24, 12, paired, groups=groups, missing_group=True)
                yield design, 60
            yield Design(name, 48, 12, paired, groups=8), 60
    for name in DISTRIBUTIONS:
        for images, others in ((24, 64), (64, 24)):
            yield Design(name, images, 12, False, other_images=others), 120
    for layers, times in TIMES.items():
        for images in (8, 16, 48, 300):
            for name in DISTRIBUTIONS:
                for paired in (True, False):
                    yield Design(name, images, layers, paired), times // (3 if images == 300 else 1)


def measure(design: Design, times: int) -> dict[str, Any]:
    """Return the row of one design."""
    tables = [_compare(design, FIRST_SEED + i) for i in range(times)]
    row: dict[str, Any] = asdict(design) | {"comparisons": times}
    if design.planted:
        found = [table.flagged_channels[design.layers // 2, 0, 0] > 0 for table in tables]
        return row | {"found": float(np.mean(found))}
    above = [(t.drift > t.noise_band)[t.tested].mean() for t in tables]
    return row | {
        "claims": float(np.mean([table.beyond.any() for table in tables])),
        "cells_above_band": round(float(np.mean(above)), 3),
    }


def _compare(design: Design, seed: int) -> NoiseTable:
    versions = draw_versions(np.random.default_rng(seed), design)
    return compare_noise(*versions, range(design.layers), same_images=design.paired)


_PLAIN = Design("normal", 48, 12, paired=True)


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what tells one design from another."""
    return tuple(row[field] for field in asdict(_PLAIN))


def main() -> None:
    """Print and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON, one row per design")
    parser.add_argument("--times", type=int, help="comparisons of each design")
    parser.add_argument(
        "--again",
        metavar="FIELD",
        help="draw only the designs that set this field (missing_group, planted, run, ...) and "
        "keep the other rows of --out",
    )
    arguments = parser.parse_args()
    known = {}
    if arguments.again:
        known = {_key(row): row for row in json.loads(arguments.out.read_text())}
    rows = []
    for design, times in list_designs():
        row = known.get(_key(asdict(design)))
        if row is None or getattr(design, arguments.again) != getattr(_PLAIN, arguments.again):
            row = measure(design, arguments.times or times)
        rows.append(row)
        print(json.dumps(rows[-1]), flush=True)
        if arguments.out:
            lines = ",\n".join(json.dumps(row) for row in rows)
            arguments.out.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
