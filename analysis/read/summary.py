"""What a list of versions shows of one payload, and of one comparison, in plain numbers.

Every value is of a plain JSON type, so that a summary can be stored beside its file's fingerprint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.payload.reading import Reading
from analysis.read.compare.comparison import Comparison
from analysis.read.compare.compatibility import Severity
from analysis.read.scores import Score, find_outliers
from analysis.vocabulary import Representation, Statistic

Row = tuple[float | None, ...]


@dataclass(frozen=True)
class Summary:
    """One payload, of its block outputs (`pre`), all layers and both token roles together."""

    outlier_channels: int
    """Channels that are outliers by robust score in at least one layer and role."""
    largest: float | None
    """The largest max |x|; None where none is finite."""


@dataclass(frozen=True)
class DriftSummary:
    """How far a version is from its baseline, layer by layer, in the block outputs (`pre`)."""

    refused: str | None
    """Why the two may not be compared; the rows are empty then."""
    layers: tuple[int, ...] = ()
    """Block numbers that both hold."""
    drift: tuple[Row, ...] = ()
    """``[layers][2]``: CLS and patch; None where it cannot be told."""
    noise_floor: tuple[Row, ...] = ()
    """``[layers][2]``: root mean square of the drift that chance alone gives; None likewise."""


def summarize(reading: Reading) -> Summary:
    """Return what a list of versions shows of a payload."""
    values = reading.table.values[:, Representation.PRE.position]
    outliers = find_outliers(values, Score.ROBUST).any(axis=(0, 1))
    max_abs = values[:, :, Statistic.MAX_ABS.position]
    finite = max_abs[np.isfinite(max_abs)]
    return Summary(int(outliers.sum()), float(finite.max()) if finite.size else None)


def compare_summary(comparison: Comparison) -> DriftSummary:
    """Return what a list of versions shows of a comparison.

    Raises:
        PayloadError: If the groups of a payload contradict each other.
    """
    drift, noise = comparison.drift, comparison.noise
    if comparison.severity is Severity.RED or drift is None or noise is None:
        return DriftSummary(refused=comparison.reasons[0].sentence)
    return DriftSummary(
        None, tuple(comparison.layers.tolist()), _rows(drift), _rows(noise.noise_floor)
    )


def _rows(cells: NDArray[np.float64]) -> tuple[Row, ...]:
    block_outputs = cells[:, Representation.PRE.position].tolist()
    return tuple(tuple(v if np.isfinite(v) else None for v in row) for row in block_outputs)
