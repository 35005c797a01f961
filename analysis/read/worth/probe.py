"""Linear probes: how well the vectors of a cell predict a target on images held out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from analysis.errors import InputError
from analysis.language import _
from analysis.payload.features import Features
from analysis.read.normalization import normalize
from analysis.read.worth.problem import Measure, Problem, make_problem
from analysis.read.worth.ridge import centred_gram, held_out_errors
from analysis.vocabulary import Cell, list_cells

Array = NDArray[np.float64]

WORKERS = min(4, os.cpu_count() or 1)

STANDARD_ERRORS = 2.0
"""A difference of fewer standard errors is called noise."""


@dataclass(frozen=True, eq=False)
class Probe:
    """Quality of a linear probe in each of some cells."""

    problem: Problem
    cells: tuple[Cell, ...]
    scores: Array
    """``[cells]``: R2 or balanced accuracy, mean over the repeats; NaN where a vector is."""
    errors: Array
    """``[cells]``: standard error over the folds, corrected for their common images."""
    by_fold: Array
    """``[cells, repeats * folds]``: contribution of each fold; its mean is about the score."""
    permuted: Array
    """``[cells, permutations]``: scores of permuted targets."""

    @property
    def best(self) -> int | None:
        """Position of the cell with the highest score; None without a number."""
        return int(np.nanargmax(self.scores)) if np.isfinite(self.scores).any() else None

    @property
    def chance(self) -> float:
        """Return the highest score that any permuted target reached in any cell."""
        return float(np.nanmax(self.permuted)) if np.isfinite(self.permuted).any() else np.nan

    @property
    def is_predictable(self) -> bool:
        """Whether the best cell beats the best cell of every permuted target.

        Comparing best with best keeps the error at 1 / (permutations + 1), however many cells.
        """
        floor = 0.0 if self.problem.measure is Measure.R2 else 1 / len(self.problem.labels)
        best = self.best
        return best is not None and bool(self.scores[best] > max(self.chance, floor))

    def position(self, cell: Cell) -> int:
        """Return the position of a cell.

        Raises:
            ValueError: If the probe does not have it.
        """
        return self.cells.index(cell)


@dataclass(frozen=True)
class Difference:
    """How much better one probe is than another on the same folds."""

    value: float
    error: float

    @property
    def is_noise(self) -> bool:
        """Whether it is within the folds' noise."""
        return not abs(self.value) > STANDARD_ERRORS * self.error


def probe(
    features: Features,
    target: str,
    *,
    group: str | None = None,
    cells: Sequence[Cell] | None = None,
    normalized: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Probe:
    """Fit a linear probe in every cell and measure it on images that it was not fitted on.

    Ridge regression; its penalty is chosen by leave-one-out within the images that are fitted. A
    category is fitted as one output per label, weighted by the inverse frequency: logistic
    regression gives about the same balanced accuracy, but has no closed form for all folds and
    permuted targets, of which there are 500 in every cell.

    Args:
        features: As `read_features` returns them.
        target: Column: a numeric target or a category.
        group: Column whose images are held out together, such as a date; none where None.
        cells: Where to probe; all cells where None.
        normalized: Whether the vectors are first given the normalisation vector of the Share page
            (`analysis.read.normalization`): scaled channel by channel, without outliers.
        progress: Called with the number of cells done and to do.

    Raises:
        InputError: If a column is unknown or cannot be used; see `make_problem`.
    """
    groups = None if group is None else find_column(features, group)
    problem = make_problem(target, find_column(features, target), group=group, groups=groups)
    chosen = (
        [cell for _unused, cell in list_cells(features.table.layers)]
        if cells is None
        else list(cells)
    )

    def run(cell: Cell) -> Probe:
        vectors = features.vectors(cell)
        if normalized:
            vectors = normalize(features.table, cell, vectors)
        return probe_vectors(vectors, problem, cell)

    parts = []
    # threads over cells; those of the matrix library would wait for each other on small matrices
    with threadpool_limits(1), ThreadPoolExecutor(WORKERS) as pool:
        for part in pool.map(run, chosen):
            parts.append(part)
            if progress is not None:
                progress(len(parts), len(chosen))
    return merge(parts)


def probe_vectors(vectors: NDArray[np.floating], problem: Problem, cell: Cell) -> Probe:
    """Return the probe of one cell.

    Args:
        vectors: ``[images, channels]``, of all images.
        problem: The target.
        cell: Where the vectors are from.
    """
    chosen = vectors[problem.kept]
    held_out = list(problem.held_out())
    orders = np.concatenate([np.arange(len(chosen))[None], problem.permutations])
    if not np.isfinite(chosen).all():
        scores, by_fold = np.full(len(orders), np.nan), np.full(len(held_out), np.nan)
    else:
        gram = centred_gram(chosen)
        outputs = problem.codes[orders].transpose(1, 0, 2)
        errors = held_out_errors(gram, outputs, [images for _unused, images in held_out])
        measure = _measure_r2 if problem.measure is Measure.R2 else _measure_accuracy
        scores, by_fold = measure(errors, outputs, problem)
    tested = np.array([len(images) for _unused, images in held_out])
    return Probe(
        problem,
        (cell,),
        scores[:1],
        np.array([_standard_error(by_fold, tested, len(chosen))]),
        by_fold[None],
        scores[None, 1:],
    )


def merge(parts: Iterable[Probe]) -> Probe:
    """Return the probes of one problem as one."""
    parts = list(parts)
    if not parts:
        raise InputError(_("There is no cell to probe. Choose at least one."))
    return Probe(
        parts[0].problem,
        tuple(cell for part in parts for cell in part.cells),
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("scores", "errors", "by_fold", "permuted")
        ),
    )


def subtract(a: Probe, b: Probe, cell: Cell, other: Cell | None = None) -> Difference:
    """Return the quality of `a` in a cell less that of `b`, in the same or another cell.

    Fold by fold: what makes a fold hard is common to both.

    Raises:
        InputError: If the two were not measured on the same folds of the same values.
    """
    same = np.array_equal(a.problem.folds, b.problem.folds) and np.array_equal(
        a.problem.codes, b.problem.codes
    )
    if not same:
        raise InputError(
            _(
                "The two probes saw different images, values or folds. Compare "
                "versions of one image list, with the same target and group."
            )
        )
    first, second = a.position(cell), b.position(cell if other is None else other)
    by_fold = a.by_fold[first] - b.by_fold[second]
    tested = np.array([len(images) for _unused, images in a.problem.held_out()])
    error = _standard_error(by_fold, tested, len(a.problem.kept))
    return Difference(float(a.scores[first] - b.scores[second]), error)


def find_column(features: Features, name: str) -> NDArray[np.float64] | NDArray[np.str_]:
    """Return a target or category by its name, ``[images]``.

    Raises:
        InputError: If there is no such column; names those that there are.
    """
    if name in features.targets:
        return features.targets[name]
    if name in features.categories:
        return features.categories[name]
    known = _(", ").join([*features.targets, *features.categories]) or _("none")
    raise InputError(
        _("{path}: has no column {name!r}. It has: {known}.").format(
            path=features.path, name=name, known=known
        )
    )


def _standard_error(by_fold: Array, tested: NDArray[np.integer], images: int) -> float:
    """Return the corrected standard error of a mean over folds (Nadeau and Bengio, 2003)."""
    share = tested.mean() / (images - tested.mean())
    return float(np.sqrt((1 / len(by_fold) + share) * by_fold.var(ddof=1)))


def _measure_r2(errors: list[Array], outputs: Array, problem: Problem) -> tuple[Array, Array]:
    """Return R2 against the mean of the fitted images, ``[targets]``, and its part by fold."""
    n, repeats = len(outputs), len(problem.folds)
    lost, total = np.zeros((2, repeats, outputs.shape[1]))
    by_fold = []
    for (repeat, images), error in zip(problem.held_out(), errors, strict=True):
        fitted = np.delete(outputs, images, axis=0).mean(axis=0)
        squares = np.square(error).sum(axis=(0, 2))
        lost[repeat] += squares
        total[repeat] += np.square(outputs[images] - fitted).sum(axis=(0, 2))
        by_fold.append((repeat, squares[0] * n / len(images)))
    parts = np.array([1 - loss / total[repeat, 0] for repeat, loss in by_fold])
    return (1 - lost / total).mean(axis=0), parts


def _measure_accuracy(errors: list[Array], outputs: Array, problem: Problem) -> tuple[Array, Array]:
    """Return the mean share of each label that is recognised, ``[targets]``, and that by fold."""
    n, targets, labels = outputs.shape
    truth = outputs.argmax(axis=2)
    hits = np.zeros((len(problem.folds), n, targets))
    by_fold = []
    for (repeat, images), error in zip(problem.held_out(), errors, strict=True):
        predicted = (outputs[images] - error).argmax(axis=2)
        hits[repeat, images] = predicted == truth[images]
        # a grouped fold may lack a label; of the others the mean is taken
        by_fold.append(_accuracy(truth[images, 0], predicted[:, 0]))
    scores = np.mean(
        [(hits * (truth == label)).sum(1) / (truth == label).sum(0) for label in range(labels)],
        axis=(0, 1),
    )
    return scores, np.array(by_fold)


def _accuracy(truth: NDArray[np.intp], predicted: NDArray[np.intp]) -> float:
    return float(
        np.mean([(predicted[truth == label] == label).mean() for label in np.unique(truth)])
    )
