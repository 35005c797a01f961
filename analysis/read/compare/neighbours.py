"""Into how many image groups to join, so that no group tells what its neighbour has told.

Frames of a burst, or sites of a sorted list, make neighbouring groups alike; taken for independent
they make the noise too small. Whether they are alike is tested by the order of the groups: in a
random order neighbours are no more alike than any two. Groups are joined into fewer, by a quarter
or a third at each step (32, 24, 16, 12, 8, 6, 4), until their neighbours pass: of runs of any
length some step comes near.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEWEST = 4
"""Groups that are left at least; fewer have too little to say about noise."""
MOST = 1 << 16
"""More than there are groups: none is joined."""
LEVEL = 0.05
_ORDERS = 999
_STEPS = tuple(sorted(base << power for base in (2, 3) for power in range(15)))

Separate = tuple[int, int]
"""Into how many groups of neighbours those of the baseline and of the version are joined."""
ALL_SEPARATE: Separate = (MOST, MOST)
Weighted = tuple[Floats, NDArray[np.int64]]
"""Values ``[groups, channels]`` of one cell, and tokens ``[groups]``, as many in every cell."""


def count_separate(cells: Sequence[Weighted]) -> int:
    """Return how many groups of neighbours are independent of each other, as far as can be told.

    Args:
        cells: One or more, of the same images; those with other groups than the first are left out.

    Returns:
        `MOST` where no neighbours are alike.
    """
    groups = number = len(cells[0][0])
    alike = [cell for cell in cells if len(cell[0]) == groups]
    while number > FEWEST:
        rows = [_join(*cell, number) for cell in alike]
        if not _are_alike(np.asarray(sum(row @ row.T for row in rows))):
            break
        number = max(max(step for step in _STEPS if step < number), FEWEST)
    return number if number < groups else MOST


def _join(values: Floats, weights: NDArray[np.int64], number: int) -> Floats:
    """Return the joined groups, centred and of equal variance, ``[number, channels]``."""
    if number == len(values):
        total, mean = weights, values
    else:
        starts = -(-np.arange(number) * len(values) // number)
        total = np.add.reduceat(weights, starts)
        mean = np.add.reduceat(weights[:, None] * values, starts) / total[:, None]
    rows = np.sqrt(total)[:, None] * (mean - total @ mean / total.sum())
    size = np.sqrt((rows**2).mean(axis=0))
    return np.divide(rows, size, out=np.zeros_like(rows), where=size > 0)


def _are_alike(products: Floats) -> bool:
    """Test by permutation whether neighbours are more alike than any two groups.

    Args:
        products: ``[groups, groups]``: inner products of the groups.
    """
    order = np.tile(np.arange(len(products)), (_ORDERS + 1, 1))
    order[1:] = np.random.default_rng(0).permuted(order[1:], axis=1)  # the first is the list's own
    alike = products[order[:, :-1], order[:, 1:]].sum(axis=1)
    return bool((alike >= alike[0] * (1 - 1e-9)).mean() <= LEVEL)
