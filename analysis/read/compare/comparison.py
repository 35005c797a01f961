"""Two payloads compared: everything that the command line, the pages and Python say of them.

A comparison has a direction: every difference, ratio, "new" and "gone" is the version minus its
baseline. What is asked for is computed once, when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.payload.discovery import load_ref, short_names
from analysis.payload.groups import GroupStats, read_groups
from analysis.payload.reading import Reading, build_reading, open_payload
from analysis.payload.table import StatsTable
from analysis.read.compare.common_images import CommonImages, count_common_images
from analysis.read.compare.compatibility import Reason, Severity, check_compatibility
from analysis.read.compare.drift import (
    compute_drift,
    compute_log_ratio,
    have_same_channels,
    have_same_images,
    take_layers,
)
from analysis.read.compare.findings import SCALE, Finding, Scale, describe_comparison
from analysis.read.compare.neighbours import ALL_SEPARATE
from analysis.read.compare.noise import NO_GROUPS, CellNoise, compare_groups
from analysis.read.compare.noise_table import NoiseTable, compare_noise
from analysis.read.compare.outlier_change import find_outlier_change
from analysis.read.compare.overlap import RankBy, Turnover, compare_top, count_turnover
from analysis.read.compare.top_channels import (
    TopComparison,
    compare_top_channels,
    jaccard_over_depth,
)
from analysis.read.scores import Score
from analysis.vocabulary import (
    REPRESENTATIONS,
    ROLES,
    Cell,
    Representation,
    Statistic,
    cell_at,
    list_cells,
)

Floats = NDArray[np.float64]
Names = tuple[str, str]

TOP = 20
"""Channels of each cell whose coming and going is listed."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """A version against its baseline; arrays ``[layers, 3, 2]`` are over layers that both hold."""

    baseline: Reading
    version: Reading
    names: Names
    """Of baseline and version, as sentences call them; never to be rendered as HTML."""

    @property
    def tables(self) -> tuple[StatsTable, StatsTable]:
        """The statistics of baseline and version."""
        return self.baseline.table, self.version.table

    @cached_property
    def layers(self) -> NDArray[np.int64]:
        """``[layers]``: the block numbers that both hold."""
        return np.intersect1d(self.baseline.table.layers, self.version.table.layers)

    @cached_property
    def reasons(self) -> tuple[Reason, ...]:
        """What the payloads agree and disagree in, worst first."""
        return check_compatibility(self.tables, self.names, self.common_images)

    @cached_property
    def common_images(self) -> CommonImages | None:
        """Which images both were measured on; None where that is not recorded."""
        return count_common_images((self.baseline, self.version))

    @property
    def severity(self) -> Severity:
        """The worst of the reasons."""
        return self.reasons[0].severity

    @property
    def same_images(self) -> bool:
        """Whether both record that they were measured on the same list of images."""
        return have_same_images(*self.tables)

    @cached_property
    def drift(self) -> Floats | None:
        """``[layers, 3, 2]``; None where backbone or channels differ or no layer is in both."""
        if not have_same_channels(*self.tables) or not len(self.layers):
            return None
        first, second = (take_layers(table, self.layers) for table in self.tables)
        return np.where(self._measurable, compute_drift(first, second), np.nan)

    @cached_property
    def log_ratio(self) -> Floats | None:
        """``[layers, 3, 2]``: mean over channels of log(std of the version / of the baseline).

        Drift saturates where stds vanish or explode; this does not. None where `drift` is.
        """
        if self.drift is None:
            return None
        first, second = (take_layers(table, self.layers) for table in self.tables)
        return np.where(self._measurable, compute_log_ratio(first, second), np.nan)

    @property
    def degenerate(self) -> int:
        """Cells left out: a single token, or no channel that varies."""
        return 0 if self.drift is None else int(np.isnan(self.drift).sum())

    @property
    def _measurable(self) -> NDArray[np.bool_]:
        """``[layers, 1, 2]``: cells of two tokens or more in both, so that a std is one."""
        counts = [t.counts[np.searchsorted(t.layers, self.layers)] for t in self.tables]
        return (np.minimum(*counts) > 1)[:, None]

    @property
    def max_drift(self) -> float | None:
        """The largest drift of all cells; None where it cannot be told of any."""
        if self.drift is None or np.isnan(self.drift).all():
            return None
        return float(np.nanmax(self.drift))

    @property
    def largest(self) -> Cell | None:
        """The cell of the largest drift."""
        if self.drift is None or np.isnan(self.drift).all():
            return None
        at = np.unravel_index(int(np.nanargmax(self.drift)), self.drift.shape)
        return cell_at(self.layers, at)

    @cached_property
    def noise(self) -> NoiseTable | None:
        """Every cell beside what chance alone gives; None where `drift` is.

        Raises:
            PayloadError: If the groups of a payload contradict each other.
        """
        if self.drift is None:
            return None
        return compare_noise(
            _groups_of(self.baseline),
            _groups_of(self.version),
            self.layers,
            same_images=self.same_images,
        )

    @property
    def drift_judged(self) -> Floats | None:
        """``[layers, 3, 2]``: the drift that the noise is of; that of all tokens where none is.

        A paired comparison leaves out image groups that differ in tokens, here too.

        Raises:
            PayloadError: As `noise` does.
        """
        if self.drift is None or self.noise is None:
            return None
        return np.where(self.noise.tested, self.noise.drift, self.drift)

    @property
    def excess(self) -> Floats | None:
        """``[layers, 3, 2]``: the drift freed of what chance adds, or as it is without noise.

        Raises:
            PayloadError: As `noise` does.
        """
        if self.drift is None or self.noise is None:
            return None
        return np.where(self.noise.tested, self.noise.excess, self.drift)

    def examine(self, cell: Cell) -> CellNoise:
        """Return one cell channel by channel; untested where a payload has no groups.

        Raises:
            PayloadError: If a payload lacks the layer, or its groups contradict each other.
        """
        readings = self.baseline, self.version
        groups = [reading.extras.groups(*cell) for reading in readings]
        stored = [each for each in groups if each is not None]
        if len(stored) == len(readings):
            noise = self.noise
            return compare_groups(
                *stored,
                same_images=self.same_images,
                threshold=-1.0 if noise is None else noise.threshold_of(cell),
                separate=ALL_SEPARATE if noise is None else noise.separate,
            )
        whole = (_as_one_group(table, cell) for table in self.tables)
        return compare_groups(*whole, same_images=self.same_images, note=NO_GROUPS)

    def findings(
        self, representation: Representation = Representation.PRE, scale: Scale = SCALE
    ) -> tuple[Finding, ...]:
        """Return the comparison in sentences; none where nothing can be compared.

        Args:
            representation: Of what to speak.
            scale: Words for drifts below each bound, as `findings.SCALE`.
        """
        if self.noise is None:
            return ()
        change = find_outlier_change(*self.tables, self.layers, representation)
        peaks = {
            role: Cell(int(self.layers[change.peak(role)]), representation, role)
            for role in ROLES
            if change.changed[:, role.position].any()
        }
        turnovers = {role: self.turnover(cell) for role, cell in peaks.items()}
        known = {role: each for role, each in turnovers.items() if each is not None}
        return describe_comparison(
            self.noise,
            representation,
            replace(change, turnover=known),
            self.names,
            scale=scale,
            common_images=self.common_images is None or self.common_images.any,
        )

    def turnover(self, cell: Cell, k: int = TOP, rank_by: RankBy = RankBy.RMS) -> Turnover | None:
        """Return how many of the top k of a cell are new; None where a payload has no groups."""
        a, b = (_groups_of(reading)(cell) for reading in (self.baseline, self.version))
        return None if a is None or b is None else count_turnover(a, b, k, rank_by)

    @property
    def sentences(self) -> list[str]:
        """What was found of the block outputs, and why some of it cannot be told."""
        return self.describe()

    def describe(self, scale: Scale = SCALE) -> list[str]:
        """Return the sentences with other words for the sizes; arguments as `findings`."""
        found = [finding.sentence for finding in self.findings(scale=scale)]
        notes = () if self.noise is None else self.noise.notes
        return found + [n for n in notes if not any(n[1:] in sentence for sentence in found)]

    def top(self, cell: Cell, score: Score = Score.MAX_ABS, k: int = TOP) -> TopComparison:
        """Return which channels are new among the top k of a cell, gone from it, or kept.

        Raises:
            PayloadError: If the payloads have other numbers of channels, or lack the layer.
        """
        return compare_top_channels(*self.tables, cell, score, k)

    def overlap(self, score: Score = Score.MAX_ABS, k: int = TOP) -> Floats:
        """Return the Jaccard index of the top k of both, ``[layers, 3, 2]``.

        Raises:
            PayloadError: If the payloads have other numbers of channels.
        """
        return jaccard_over_depth(*self.tables, score, k)

    def overlap_by_groups(self, rank_by: RankBy, k: int = TOP) -> tuple[Floats, Floats]:
        """Return the Jaccard index of the top k by groups, and what it is without a change.

        Returns:
            ``[layers, 3, 2]`` each; NaN where a payload has no groups.
        """
        overlaps, by_chance = np.full(
            (2, len(self.layers), len(REPRESENTATIONS), len(ROLES)), np.nan
        )
        groups = [_groups_of(reading) for reading in (self.baseline, self.version)]
        for index, cell in list_cells(self.layers):
            a, b = (read(cell) for read in groups)
            if a is not None and b is not None:
                overlap = compare_top(a, b, k, rank_by)
                overlaps[index], by_chance[index] = overlap.found, overlap.by_chance
        return overlaps, by_chance


Comparable = Mapping[str, Any] | StatsTable | Reading | Path | str


def compare(baseline: Comparable, version: Comparable, *, names: Names | None = None) -> Comparison:
    """Compare a version with its baseline; each difference is the version minus the baseline.

    Args:
        baseline: A payload, its file, or what was read of it.
        version: Likewise.
        names: What sentences call the two; their versions where None.

    Raises:
        PayloadError: If one of them cannot be read or is no payload; names path and key.
    """
    readings = _read(baseline), _read(version)
    return Comparison(*readings, names or _name((baseline, version), readings))


def _read(payload: Comparable) -> Reading:
    if isinstance(payload, str | Path):
        return open_payload(payload)
    if isinstance(payload, StatsTable):
        return Reading(payload)
    if isinstance(payload, Mapping):
        return build_reading(payload)
    return payload


def _name(payloads: tuple[Comparable, Comparable], readings: tuple[Reading, Reading]) -> Names:
    paths = [Path(payload) for payload in payloads if isinstance(payload, str | Path)]
    if len(paths) == len(payloads):
        first, second = short_names([load_ref(path) for path in paths])
        return first, second
    versions = [reading.table.config.get("version") for reading in readings]
    names = [str(name or role) for name, role in zip(versions, _ROLES_OF_TWO, strict=True)]
    if names[0] == names[1]:
        names = [f"{name} ({role})" for name, role in zip(names, _ROLES_OF_TWO, strict=True)]
    return names[0], names[1]


_ROLES_OF_TWO = ("baseline", "version")


def _groups_of(reading: Reading) -> Callable[[Cell], GroupStats | None]:
    extras = reading.extras.as_extras()
    return lambda cell: read_groups(extras, *cell)


def _as_one_group(table: StatsTable, cell: Cell) -> GroupStats:
    mean, std = (
        table.get(*cell, statistic)[None].astype(np.float64)
        for statistic in (Statistic.MEAN, Statistic.STD)
    )
    return GroupStats(np.array([table.count(cell.layer, cell.role)]), mean, std)
