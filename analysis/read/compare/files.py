"""Two payload files compared: what the command line prints and writes as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.payload.discovery import load_ref, short_names
from analysis.payload.extras import load_extras
from analysis.payload.table import StatsTable, load_table
from analysis.read.compare.drift import (
    Comparison,
    compare_tables,
    compare_top_channels,
    have_same_images,
)
from analysis.read.compare.findings import describe_comparison
from analysis.read.compare.noise_table import NoiseTable, compare_noise
from analysis.read.compare.outlier_change import find_outlier_change
from analysis.vocabulary import Representation, TokenRole

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


def compare_files(a: Path, b: Path) -> ComparedFiles:
    """Read two payloads and compare them.

    Raises:
        PayloadError: If one of them cannot be read or is no payload; names path and key.
    """
    names = short_names([load_ref(path) for path in (a, b)])
    tables = load_table(a), load_table(b)
    comparison = compare_tables(*tables, names=(names[0], names[1]))
    noise = None
    if comparison.drift is not None:
        first, second = (load_extras(path).as_extras() for path in (a, b))
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
        rows.append(name_cell(noise.layers, index) | row)
    return rows


def _list_outliers(compared: ComparedFiles) -> list[dict[str, Any]]:
    layers, rows = compared.comparison.layers, []
    for index in np.ndindex(len(layers), len(Representation), len(TokenRole)):
        cell = name_cell(layers, index)
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


def name_cell(layers: NDArray[np.int64], index: tuple[int, ...]) -> dict[str, Any]:
    """Return layer, representation and role of an index on the first three axes, as JSON."""
    return {
        "layer": int(layers[index[0]]),
        "representation": tuple(Representation)[index[1]].value,
        "role": tuple(TokenRole)[index[2]].value,
    }


def find_sentences(compared: ComparedFiles) -> list[str]:
    """Return what was found in sentences, of the block outputs; none where nothing was compared."""
    if compared.noise is None:
        return []
    pre = Representation.PRE
    change = find_outlier_change(*compared.tables, compared.noise.layers, pre)
    found = describe_comparison(compared.noise, pre, change, compared.names)
    said = [finding.sentence for finding in found]
    return said + [note for note in compared.noise.notes if note not in said]
