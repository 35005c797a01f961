"""Versions that differ only in fold or seed, taken together: their mean and their spread.

How far folds or seeds of one recipe lie apart is a second noise floor beside that of the image
groups: it holds what training itself leaves to chance.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.language import _
from analysis.read.compare.group_samples import BAND
from analysis.read.recipe import FOLD
from analysis.read.summary import DriftSummary, Row

_SEPARATORS = re.compile(r"([-_ .])[-_ .]+")


@dataclass(frozen=True)
class Family:
    """The comparisons of several versions with one baseline."""

    mean: DriftSummary
    """Drift, noise floor and noise band, each the mean of the members; the larger of floor and
    spread, and of band and what the spread allows, where there is one."""
    spread: tuple[Row, ...] = ()
    """``[layers][2]``: standard deviation of the members' drifts (n - 1); None where unknown."""


def name_family(version: str) -> str | None:
    """Return a version's name without its fold and seed; None where it names neither."""
    stem = FOLD.sub("", version)
    return None if stem == version else _SEPARATORS.sub(r"\1", stem).strip("-_ .") or "folds"


def merge_drifts(members: Sequence[DriftSummary]) -> Family:
    """Return the mean and the spread over members, in the layers that all of them hold.

    A family of which a member may not be compared with the baseline is refused as a whole.
    """
    from scipy.special import stdtrit  # a fifth of a second, which the first page does not need

    refused = next((each.refused for each in members if each.refused is not None), None)
    layers = sorted(set[int].intersection(*(set(each.layers) for each in members)))
    if refused is not None or not layers:
        return Family(DriftSummary(refused or _("no layer is in all of them")))
    places = [[each.layers.index(layer) for layer in layers] for each in members]
    drift, floor, band = (
        np.array(
            [[rows[at] for at in place] for rows, place in zip(part, places, strict=True)]
        ).astype(np.float64)
        for part in (
            [each.drift for each in members],
            [each.noise_floor for each in members],
            [each.noise_band for each in members],
        )
    )
    unknown = np.full(drift.shape[1:], np.nan)
    spread = drift.std(axis=0, ddof=1) if len(members) > 1 else unknown
    # One drift lies above 95 % of those that the members' spread would give by chance.
    reach = stdtrit(max(len(members) - 1, 1), BAND) * spread
    parts = (
        drift.mean(axis=0),
        np.fmax(floor.mean(axis=0), spread),
        np.fmax(band.mean(axis=0), reach),
    )
    means = (_to_rows(part) for part in parts)
    return Family(DriftSummary(None, tuple(layers), *means), _to_rows(spread))


def _to_rows(cells: np.ndarray) -> tuple[Row, ...]:
    return tuple(tuple(v if np.isfinite(v) else None for v in row) for row in cells.tolist())
