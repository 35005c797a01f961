"""Hold the advice on norms to a measurement: linear probes of the same vectors after each norm."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from analysis.language import N_, _
from analysis.payload.features import Features
from analysis.payload.table import StatsTable
from analysis.read.depth.advice import Norm
from analysis.read.scores import Score, find_outliers
from analysis.read.worth.probe import Probe, find_column, probe_vectors, subtract
from analysis.read.worth.problem import make_problem
from analysis.vocabulary import Cell, Representation, TokenRole

NEGLIGIBLE = 0.02
"""Of R2 or balanced accuracy: a smaller difference does not decide between norms."""


class Verdict(StrEnum):
    """What the probes say of an advice."""

    AGREES = N_("agrees")
    """No other norm is better by more than the folds' noise and by more than `NEGLIGIBLE`."""
    WORSE = N_("may not be trusted")
    """Another norm is."""
    UNKNOWN = N_("cannot be told")
    """The target cannot be predicted after any norm, or nothing was advised."""


def hold_to_probe(
    features: Features, advice: pd.DataFrame, target: str, group: str | None = None
) -> pd.DataFrame:
    """Return what linear probes of a target say of each advice, one row per row of `advice`.

    Args:
        features: Of the payload that the advice is for.
        advice: As `advise_layers` returns it.
        target: Column: a numeric target or a category.
        group: Column whose images are held out together; none where None.

    Returns:
        layer, role, advice, score (of the advised norm), best (norm), best_score, verdict.

    Raises:
        InputError: If a column is unknown or cannot be used; see `make_problem`.
    """
    groups = None if group is None else find_column(features, group)
    problem = make_problem(target, find_column(features, target), group=group, groups=groups)

    def run(row: tuple[int, str, str]) -> dict[str, object]:
        layer, role, advised = row
        cell = Cell(layer, Representation.PRE, TokenRole(role))
        probes = {
            norm: probe_vectors(vectors, problem, cell)
            for norm, vectors in _apply_norms(features, cell)
        }
        return {"layer": layer, "role": role, "advice": advised} | _judge(probes, advised, cell)

    rows = zip(advice["layer"].tolist(), advice["role"], advice["advice"], strict=True)
    with threadpool_limits(1), ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        found = list(pool.map(run, rows))
    columns = ["layer", "role", "advice", "score", "best", "best_score", "verdict"]
    return pd.DataFrame(found, columns=columns)


def _judge(probes: dict[Norm, Probe], advised: str, cell: Cell) -> dict[str, object]:
    scores = {norm: float(probe.scores[0]) for norm, probe in probes.items()}
    known = {norm: score for norm, score in scores.items() if np.isfinite(score)}
    row: dict[str, object] = {"score": np.nan, "best": "", "best_score": np.nan}
    if not known:
        return row | {"verdict": Verdict.UNKNOWN.value}
    best = max(known, key=known.__getitem__)
    row |= {"best": best.value, "best_score": known[best]}
    norm = next((norm for norm in known if norm.value == advised), None)
    if norm is None:
        return row | {"verdict": Verdict.UNKNOWN.value}
    row["score"] = known[norm]
    if not probes[best].is_predictable:
        return row | {"verdict": Verdict.UNKNOWN.value}
    behind = subtract(probes[best], probes[norm], cell)
    is_close = behind.is_noise or behind.value <= NEGLIGIBLE
    verdict = Verdict.AGREES if is_close else Verdict.WORSE
    return row | {"verdict": verdict.value}


def _apply_norms(features: Features, cell: Cell) -> Iterator[tuple[Norm, NDArray[np.floating]]]:
    """Yield the vectors that a head would be given after each norm."""
    layer, _unused, role = cell
    vectors = features.vectors(cell)
    yield Norm.RAW, vectors
    yield Norm.PER_LAYER_LN, features.vectors(Cell(layer, Representation.PER_LAYER_LN, role))
    yield Norm.GLOBAL_LN, features.vectors(Cell(layer, Representation.GLOBAL_LN, role))
    yield Norm.BATCH_NORM, _scale(features.table, cell, vectors)
    outlier = find_outliers(features.table[cell], Score.MAX_ABS)
    if outlier.any() and not outlier.all():
        yield Norm.DROP, vectors[:, ~outlier]


def _scale(table: StatsTable, cell: Cell, vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    mean, std, _unused = table[cell]
    return (vectors - mean) / np.where(std > 0, std, np.float32(np.inf))


def summarise(found: pd.DataFrame, target: str) -> str:
    """Return in one sentence how far an advice is borne out."""
    counts = found["verdict"].value_counts()
    agrees, worse, unknown = (int(counts.get(verdict.value, 0)) for verdict in Verdict)
    judged = agrees + worse
    if not judged:
        return _(
            "Probes of {target} cannot tell whether the advice holds: the "
            "target cannot be predicted here."
        ).format(target=target)
    sentence = _(
        "Held to linear probes of {target}: in {agrees} of {judged} cases "
        "no other norm is better by more than the folds' noise and "
        "{negligible}"
    ).format(target=target, agrees=agrees, judged=judged, negligible=NEGLIGIBLE)
    if worse:
        cells = _(", ").join(
            _("layer {layer} {role}").format(layer=row.layer, role=row.role)
            for row in found.itertuples()
            if row.verdict == Verdict.WORSE.value
        )
        sentence += _("; the advice may not be trusted at {cells}").format(cells=cells)
    if not unknown:
        return sentence + _(".")
    return sentence + _("; {unknown} cannot be told.").format(unknown=unknown)
