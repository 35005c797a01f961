"""Two versions against their noise, over all layers, representations and roles.

All channels of all cells, their means and their stds, are one family of tests: a sentence that
looks for the largest of many cells must not find what chance puts into one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from analysis.errors import PayloadError
from analysis.language import N_, _
from analysis.payload.groups import GroupStats
from analysis.read.compare.false_discovery import combine, find_discoveries, find_threshold
from analysis.read.compare.neighbours import (
    ALL_SEPARATE,
    MOST,
    Separate,
    Weighted,
    count_separate,
)
from analysis.read.compare.noise import (
    LEVEL,
    NO_GROUPS,
    CellNoise,
    compare_stacks,
    find_pairs,
)
from analysis.vocabulary import REPRESENTATIONS, ROLES, Cell, CellIndex, Representation, list_cells

Floats = NDArray[np.float64]
Groups = Callable[[Cell], GroupStats | None]
"""The groups of a cell; None where they are not stored."""
Stacks = dict[tuple[Cell, ...], GroupStats]
_Waiting = list[tuple[CellIndex, Cell, GroupStats, GroupStats]]

ALIKE = N_(
    "Neighbours in the image list are alike (bursts, sites), so noise "
    "is measured on {} groups of neighbours. Where images of one run "
    "are in more than one of them, chance still claims more than it "
    "should: name the column of site or date in analysis.group_by."
)

_JUDGED_LAYERS = 8
"""Layers, about, that tell whether neighbours are alike."""
_BATCH = 1 << 17
"""Numbers of one version that are worked on at a time: few enough for a processor's cache."""


@dataclass(frozen=True)
class SharedBaseline:
    """A baseline that many versions are compared with: its groups are read and stacked once."""

    groups: Groups
    """To be called in place of `groups` itself."""
    stacks: Stacks = field(default_factory=dict)

    @classmethod
    def of(cls, groups: Groups) -> SharedBaseline:
        """Return the baseline whose groups these are."""
        return cls(cache(groups))


@dataclass(frozen=True)
class NoiseTable:
    """The noise of every cell; NaN, 0 and False where it cannot be told."""

    layers: NDArray[np.int64]
    """``[layers]``."""
    drift: Floats
    """``[layers, 3, 2]``: of the pooled groups, that of the payload up to rounding; of those that
    both have where a paired comparison leaves some out."""
    noise_floor: Floats
    """``[layers, 3, 2]``: root mean square of the drift that chance alone gives."""
    noise_band: Floats
    """``[layers, 3, 2]``: below it lie 95 % of the drifts that chance alone gives."""
    drift_p: Floats
    """``[layers, 3, 2]``: how often chance alone gives at least the drift."""
    flagged_channels: NDArray[np.int64]
    """``[layers, 3, 2]``: channels whose mean or std differs by more than noise; 0 in cells that
    are not `beyond`."""
    beyond: NDArray[np.bool_]
    """``[layers, 3, 2]``: some channel (Simes 1986), or the drift as a whole, exceeds chance; both
    tests of all cells are one family."""
    paired: bool
    """Whether every cell was compared image group by image group."""
    notes: tuple[str, ...] = ()
    """Why nothing, or not all, is called significant, and what was left out."""
    threshold: float = -1.0
    """Up to which probability a channel of any cell is flagged."""
    separate: Separate = ALL_SEPARATE
    """Into how many groups of neighbours the image groups of each version were joined."""

    @property
    def tested(self) -> NDArray[np.bool_]:
        """``[layers, 3, 2]``: where the noise is known."""
        return ~np.isnan(self.noise_floor)

    def threshold_of(self, cell: Cell) -> float:
        """Return up to which probability a channel of a cell is flagged; below 0: none is."""
        index = np.flatnonzero(self.layers == cell.layer)
        beyond = self.beyond[index, cell.representation.position, cell.role.position]
        return self.threshold if beyond.any() else -1.0

    @property
    def size(self) -> Floats:
        """``[layers, 3, 2]``: the drift freed of what chance adds on average."""
        return np.sqrt(np.maximum(self.drift**2 - self.noise_floor**2, 0))

    @property
    def excess(self) -> Floats:
        """``[layers, 3, 2]``: the size of what is beyond chance; 0 where nothing is."""
        return np.where(self.tested, np.where(self.beyond, self.size, 0.0), np.nan)


def compare_noise(
    a: Groups | SharedBaseline,
    b: Groups,
    layers: Sequence[int] | NDArray[np.int64],
    *,
    same_images: bool,
    level: float = LEVEL,
    tested: bool = True,
) -> NoiseTable:
    """Compare two payloads in every layer, representation and role.

    Args:
        a: Gives the groups of the baseline; shared where many versions are compared with it.
        b: Those of the version.
        layers: Those that both hold.
        same_images: Whether both carry the same dataset fingerprint.
        level: Accepted share of false discoveries.
        tested: Whether to compute probabilities, which take most of the time; nothing is `beyond`
            else.

    Raises:
        PayloadError: If groups are not numbers, or those of the two have other channels.
    """
    numbers = np.asarray(layers, dtype=np.int64)
    shape = (len(numbers), len(REPRESENTATIONS), len(ROLES))
    drift, floor, band, drift_p = (np.full(shape, np.nan) for _unused in range(4))
    places: list[list[CellIndex]] = []
    probabilities: list[Floats] = []
    paired, notes = same_images, dict[str, None]()
    stacks: Stacks | None = None
    if isinstance(a, SharedBaseline):
        a, stacks = a.groups, a.stacks
    separate = _count_separate(a, b, numbers, same_images)
    if min(separate) < MOST:
        notes[_(ALIKE).format(min(separate))] = None
    for indices, first, second in _read_stacks(a, b, numbers, stacks):
        if first is None or second is None:
            notes[_(NO_GROUPS)] = None
            continue
        noise = compare_stacks(
            first, second, same_images=same_images, separate=separate, tested=tested
        )
        at = tuple(np.transpose(indices))
        drift[at], floor[at] = noise.drift, noise.noise_floor
        band[at], drift_p[at] = noise.noise_band, noise.drift_p
        if not tested:
            continue
        places.append(indices)
        probabilities.append(np.stack([noise.shift.p, noise.log_ratio.p], axis=1))
        paired &= noise.paired
        notes |= dict.fromkeys(_explain(noise))
    family = [p.ravel() for p in probabilities]
    threshold = find_threshold(np.concatenate(family), level) if family else -1.0
    flagged, any_channel = np.zeros(shape, dtype=np.int64), np.full(shape, np.nan)
    for indices, p in zip(places, probabilities, strict=True):
        at = tuple(np.transpose(indices))
        flagged[at] = (p <= threshold).any(axis=1).sum(axis=-1)
        any_channel[at] = combine(p.reshape(len(p), -1))
    beyond = np.logical_or(*find_discoveries(np.stack([any_channel, drift_p]), level))
    flagged[~beyond] = 0  # where much differs elsewhere, chance passes the threshold here and there
    return NoiseTable(
        numbers,
        drift,
        floor,
        band,
        drift_p,
        flagged,
        beyond,
        paired and not np.isnan(drift_p).all(),
        tuple(notes),
        threshold,
        separate,
    )


def _count_separate(a: Groups, b: Groups, layers: NDArray[np.int64], same_images: bool) -> Separate:
    """Return into how many groups of neighbours to join, as the block outputs of some layers say.

    All cells are of the same images, so a few of them tell.
    """
    versions: tuple[list[Weighted], list[Weighted]] = [], []
    for layer in layers[:: max(len(layers) // _JUDGED_LAYERS, 1)].tolist():
        for role in ROLES:
            cell = Cell(layer, Representation.PRE, role)
            first, second = a(cell), b(cell)
            if first is None or second is None:
                continue
            _check(first, second, cell)
            pairs = find_pairs(first.count, second.count) if same_images else None
            if pairs is not None:
                moved = second.mean[pairs] - first.mean[pairs]
                versions[0].append((moved, first.count[pairs]))
                continue
            for version, groups in zip(versions, (first, second), strict=True):
                present = groups.present()
                version.append((present.mean, present.count))
    alone = [count_separate(cells) if cells else MOST for cells in versions]
    return (alone[0], alone[0]) if not versions[1] else (alone[0], alone[1])


def _read_stacks(
    a: Groups, b: Groups, layers: NDArray[np.int64], stacks: Stacks | None
) -> Iterator[tuple[list[CellIndex], GroupStats | None, GroupStats | None]]:
    """Yield cells that can be worked on together: the same groups hold images in all of them."""
    waiting: dict[object, _Waiting] = {}
    for index, cell in list_cells(layers):
        first, second = a(cell), b(cell)
        if first is None or second is None:
            yield [index], None, None
            continue
        _check(first, second, cell)
        same = first.count.shape == second.count.shape and first.count == second.count
        masks = (first.count > 0, second.count > 0, np.asarray(same))
        key = tuple(mask.tobytes() for mask in masks)
        cells = waiting.setdefault(key, [])
        cells.append((index, cell, first, second))
        if len(cells) * max(first.mean.size, second.mean.size) >= _BATCH:
            yield _stack_both(waiting.pop(key), stacks)
    for cells in waiting.values():
        yield _stack_both(cells, stacks)


def _stack_both(
    waiting: _Waiting, stacks: Stacks | None
) -> tuple[list[CellIndex], GroupStats, GroupStats]:
    indices, cells, firsts, seconds = zip(*waiting, strict=True)
    if stacks is None:
        return list(indices), _stack(firsts), _stack(seconds)
    if cells not in stacks:
        stacks[cells] = _stack(firsts)
    return list(indices), stacks[cells], _stack(seconds)


def _stack(cells: Sequence[GroupStats]) -> GroupStats:
    return GroupStats(
        np.stack([groups.count for groups in cells]),
        np.stack([groups.mean for groups in cells]),
        np.stack([groups.std for groups in cells]),
    )


def _check(a: GroupStats, b: GroupStats, cell: Cell) -> None:
    where = f"layers.{cell.layer}.groups.{cell.representation}.{cell.role}"
    if a.channels != b.channels:
        raise PayloadError(
            _(
                "extras.{where}: {channels} channels in the baseline and "
                "{b_channels} in the version, though both payloads have as many. "
                "Make the payload anew."
            ).format(where=where, channels=a.channels, b_channels=b.channels)
        )
    for groups, name in ((a, "baseline"), (b, "version")):
        present = groups.present()
        if not (np.isfinite(present.mean).all() and np.isfinite(present.std).all()):
            raise PayloadError(
                _(
                    "extras.{where}: a group of the {name} that holds tokens has a "
                    "mean or std that is no finite number. Make the payload anew."
                ).format(where=where, name=name)
            )


def _explain(noise: CellNoise) -> Iterator[str]:
    if noise.note:
        yield _(noise.note)
    if noise.left_out:
        groups = _(", ").join(map(str, noise.left_out))
        yield (
            _(
                "Image groups {groups} hold other tokens in the two versions (a "
                "skipped image, or a token that is no number), so drift and noise "
                "were measured on the others."
            ).format(groups=groups)
        )
