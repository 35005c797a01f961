"""What a list of versions shows of one payload, and of one comparison, in plain numbers.

Every value is of a plain JSON type, so that a summary can be stored beside its file's fingerprint.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.payload.contract.kinds import MAX_COUNT, MAX_TEXT
from analysis.payload.groups import GroupStats, read_groups
from analysis.payload.reading import Reading
from analysis.payload.table import StatsTable
from analysis.read.consistency import check_reading
from analysis.read.recipe import hash_recipe
from analysis.read.scores import Score, find_outliers
from analysis.vocabulary import Cell, Representation, Statistic, TokenRole

if TYPE_CHECKING:
    from analysis.read.compare.comparison import Comparison
    from analysis.read.compare.noise_table import SharedBaseline

FORMAT = 2
"""Part of the key of every stored summary; to be raised when what is computed here changes."""

Row = tuple[float | None, ...]

_HALF_PAIR = re.compile("[\ud800-\udfff]")

_KEPT = 4096
"""Comparisons whose numbers are kept as arrays: a table asks for the same ones again and again."""


@dataclass(frozen=True)
class Summary:
    """One payload; its numbers are of the block outputs (`pre`), all layers, both token roles."""

    outlier_channels: int
    """Channels that are outliers by robust score in at least one layer and role."""
    largest: float | None
    """The largest max |x|; None where none is finite."""
    broken_laws: tuple[str, ...]
    """Names of the sanity laws that do not hold."""
    skipped: int
    """Images that could not be read."""
    left_out: int
    """Token outputs that were no finite numbers."""
    adapter_effect: float | None
    """The largest relative change of a block output by the adapter; None where not recorded."""
    recipe: str | None = None
    """What versions of other folds and seeds share, see `recipe.hash_recipe`; None where the
    config names neither."""


_COUNTS = ("outlier_channels", "skipped", "left_out")
_AMOUNTS = ("largest", "adapter_effect")
_MAX_AMOUNT = 1e300
_MAX_LAWS, _MAX_LAW, _MAX_RECIPE = 100, 200, 100


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
    noise_band: tuple[Row, ...] = ()
    """``[layers][2]``: below it lie 95 % of the drifts that chance alone gives; None likewise."""


@dataclass(frozen=True)
class Peak:
    """The layer in which a version moved most from its baseline."""

    layer: int
    drift: float
    noise_floor: float | None
    """What chance alone gives there; None where no layer has a known noise."""
    beyond: bool
    """Whether the drift is above the noise band."""

    @property
    def ratio(self) -> float | None:
        """The drift as a multiple of the noise floor; None where that is unknown or 0."""
        return self.drift / self.noise_floor if self.noise_floor else None


def summarize(reading: Reading) -> Summary:
    """Return what a list of versions shows of a payload."""
    table = reading.table
    values = table.values[:, Representation.PRE.position]
    outliers = find_outliers(values, Score.ROBUST).any(axis=(0, 1))
    max_abs = values[:, :, Statistic.MAX_ABS.position]
    finite = max_abs[np.isfinite(max_abs)]
    proof = _read_numbers(table, "lora_proof")
    return Summary(
        int(outliers.sum()),
        float(finite.max()) if finite.size else None,
        tuple(check.name for check in check_reading(reading) if check.ok is False),
        _read_count(table),
        int(sum(_read_numbers(table, "nonfinite_tokens"))),
        max(proof) if proof else None,
        hash_recipe(table.config),
    )


def compare_summary(comparison: Comparison, shared: SharedBaseline | None = None) -> DriftSummary:
    """Return what a list of versions shows of a comparison.

    Args:
        comparison: A version and its baseline.
        shared: What `share_baseline` made of the same baseline, for many versions.

    Raises:
        PayloadError: If the groups of a payload contradict each other.
    """
    # imported here: a run that ends summarises its payload, and has no use for scipy and pandas
    from analysis.read.compare.compatibility import Severity
    from analysis.read.compare.noise_table import compare_noise

    drift = comparison.drift
    if comparison.severity is Severity.RED or drift is None:
        return DriftSummary(refused=comparison.reasons[0].sentence)
    # of the block outputs only: the other representations take twice as long again
    noise = compare_noise(
        shared or _block_outputs(comparison.baseline),
        _block_outputs(comparison.version),
        comparison.layers,
        same_images=comparison.same_images,
        tested=False,
    )
    return DriftSummary(
        None,
        tuple(comparison.layers.tolist()),
        *map(_rows, (drift, noise.noise_floor, noise.noise_band)),
    )


def share_baseline(baseline: Reading) -> SharedBaseline:
    """Return a baseline for `compare_summary` with many versions; it holds all image groups."""
    from analysis.read.compare.noise_table import SharedBaseline

    return SharedBaseline.of(_block_outputs(baseline))


def compute_ratio(summary: DriftSummary, role: TokenRole) -> NDArray[np.float64]:
    """Return drift over noise floor, ``[layers]``; NaN where it is unknown, inf over a floor of 0.

    0 where the drift is not above the noise band: chance alone gives as much.
    """
    drift, floor, band = _columns(summary, role)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(drift > 0, drift / floor, 0.0)
    return np.where(np.isnan(floor) | np.isnan(drift), np.nan, np.where(drift > band, ratio, 0.0))


@lru_cache(maxsize=_KEPT)
def find_peak(summary: DriftSummary, role: TokenRole) -> Peak | None:
    """Return where a version moved most, by drift over noise where any noise is known.

    None where the two may not be compared, or no drift is known.
    """
    if summary.refused is not None:
        return None
    drift, floor, band = _columns(summary, role)
    known = ~np.isnan(floor) & ~np.isnan(drift)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(drift > 0, drift / floor, 0.0)
    if not known.any():
        known, ratio = ~np.isnan(drift), drift
    if not known.any():
        return None
    at = int(np.argmax(np.where(known, ratio, -1.0)))
    noise = None if np.isnan(floor[at]) else float(floor[at])
    return Peak(summary.layers[at], float(drift[at]), noise, bool(drift[at] > band[at]))


def to_json(summary: Summary | DriftSummary) -> str:
    """Return a summary as text to be stored."""
    return json.dumps(asdict(summary), allow_nan=False)


def parse_summary(text: str) -> Summary:
    """Return what `to_json` made a text of; a stranger may have written it.

    Raises:
        ValueError, TypeError, KeyError: If it is no such text.
    """
    fields = _load(text)
    laws, recipe = fields["broken_laws"], fields.get("recipe")
    is_one = (
        all(is_count(fields[name]) for name in _COUNTS)
        and all(fields[name] is None or is_amount(fields[name]) for name in _AMOUNTS)
        and (recipe is None or is_line(recipe, _MAX_RECIPE))
        and isinstance(laws, list)
        and len(laws) <= _MAX_LAWS
        and all(is_line(law, _MAX_LAW) for law in laws)
    )
    if not is_one:
        raise TypeError("a field of another type, or out of measure")
    return Summary(**{**fields, "broken_laws": tuple(laws)})


def parse_drift(text: str) -> DriftSummary:
    """Return what `to_json` made a text of; a stranger may have written parts of it.

    Raises:
        ValueError, TypeError, KeyError: If it is no such text.
    """
    fields = _load(text)
    layers, refused = fields["layers"], fields["refused"]
    tables = {name: fields[name] for name in ("drift", "noise_floor", "noise_band")}
    is_one = (
        all(is_count(layer) for layer in layers)
        and (refused is None or is_line(refused, MAX_TEXT))
        and all(_is_table(rows, 0 if refused else len(layers)) for rows in tables.values())
    )
    if not is_one:
        raise TypeError("a field of another type, or out of measure")
    rows = {name: tuple(map(tuple, table)) for name, table in tables.items()}
    return DriftSummary(**{**fields, **rows, "layers": tuple(layers)})


def is_count(value: Any) -> bool:
    """Tell whether a stored value is a whole number that counts something."""
    return type(value) is int and 0 <= value <= MAX_COUNT


def is_amount(value: Any) -> bool:
    """Tell whether a stored value is a finite number that is not negative."""
    return type(value) in (int, float) and 0 <= value <= _MAX_AMOUNT


def is_line(value: Any, most: int) -> bool:
    """Tell whether a stored value is a text that a page can show, of at most so many letters."""
    return isinstance(value, str) and len(value) <= most and not _HALF_PAIR.search(value)


def _load(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested without end") from error
    if not isinstance(fields, dict):
        raise TypeError("no mapping")
    return fields


def _is_table(rows: Any, length: int) -> bool:
    return len(rows) == length and all(
        len(row) == len(TokenRole) and all(value is None or is_amount(value) for value in row)
        for row in rows
    )


@lru_cache(maxsize=_KEPT)
def _columns(summary: DriftSummary, role: TokenRole) -> list[NDArray[np.float64]]:
    """Return drift, noise floor and noise band of a role, ``[layers]`` each."""
    shape = len(summary.layers), len(TokenRole)
    return [
        np.array(rows, dtype=np.float64).reshape(shape)[:, role.position]
        for rows in (summary.drift, summary.noise_floor, summary.noise_band)
    ]


def _block_outputs(reading: Reading) -> Callable[[Cell], GroupStats | None]:
    extras = reading.extras.as_extras(Representation.PRE)
    return lambda cell: (
        read_groups(extras, *cell) if cell.representation is Representation.PRE else None
    )


def _rows(cells: NDArray[np.float64]) -> tuple[Row, ...]:
    block_outputs = cells[:, Representation.PRE.position].tolist()
    return tuple(tuple(v if np.isfinite(v) else None for v in row) for row in block_outputs)


def _read_numbers(table: StatsTable, key: str) -> list[float]:
    values: Any = table.run.get(key)
    numbers = values if isinstance(values, list) else []
    return [float(v) for v in numbers if isinstance(v, int | float) and np.isfinite(v)]


def _read_count(table: StatsTable) -> int:
    files, count = table.run.get("skipped_files"), table.run.get("skipped_count")
    if isinstance(count, int):
        return count
    return len(files) if isinstance(files, list) else 0
