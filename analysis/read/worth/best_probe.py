"""The best linear probe of a payload's block outputs, in plain numbers for a list of versions."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from analysis.errors import InputError
from analysis.language import _
from analysis.payload.contract.kinds import MAX_TEXT
from analysis.payload.features import Features
from analysis.read.summary import is_count, is_line
from analysis.read.worth.probe import Probe, probe
from analysis.read.worth.problem import Measure
from analysis.vocabulary import ROLES, Cell, Representation, TokenRole


@dataclass(frozen=True)
class BestProbe:
    """Where one target can be predicted best; every value is of a plain JSON type."""

    target: str
    """Column that is predicted: the first that can be."""
    measure: str
    """R2 or balanced accuracy."""
    layer: int
    role: str
    score: float
    error: float
    """Standard error over the folds."""
    predictable: bool
    """Whether the score is above that of every permuted target."""


def find_best_probe(features: Features) -> BestProbe:
    """Return the best probe of the block outputs (`pre`), all layers and both roles.

    Raises:
        InputError: If no column can be predicted; says why of the last one.
    """
    layers = features.table.layers.tolist()
    cells = [Cell(layer, Representation.PRE, role) for layer in layers for role in ROLES]
    problem = InputError(
        _("{path}: has no column that could be predicted.").format(path=features.path)
    )
    for target in (*features.targets, *features.categories):
        try:
            return _describe(probe(features, target, cells=cells), target)
        except InputError as error:
            problem = error
    raise problem


def to_json(best: BestProbe) -> str:
    """Return it as text to be stored."""
    return json.dumps(asdict(best), allow_nan=False)


def parse_best_probe(text: str) -> BestProbe:
    """Return what `to_json` made a text of.

    Raises:
        ValueError, TypeError: If it is no such text.
    """
    try:
        found = BestProbe(**json.loads(text))
    except RecursionError as error:
        raise ValueError("nested without end") from error
    numbers = (found.score, found.error)
    is_one = (
        is_line(found.target, MAX_TEXT)
        and found.measure in list(Measure)
        and is_count(found.layer)
        and found.role in list(TokenRole)
        and all(type(number) in (int, float) and np.isfinite(number) for number in numbers)
        and type(found.predictable) is bool
    )
    if not is_one:
        raise TypeError("a field of another type, or out of measure")
    return found


def _describe(found: Probe, target: str) -> BestProbe:
    best = found.best
    if best is None or not np.isfinite(found.errors[best]):
        raise InputError(
            _("{target}: no cell has finite vectors on all images.").format(target=target)
        )
    cell = found.cells[best]
    return BestProbe(
        target,
        found.problem.measure.value,
        cell.layer,
        cell.role.value,
        float(found.scores[best]),
        float(found.errors[best]),
        found.is_predictable,
    )
