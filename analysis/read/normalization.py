"""Mean, std and outlier mask of every layer as safetensors, to normalise features before a head.

Keys, for each layer ``i`` of the payload:

* ``layer_<i>.mean``: float32 ``[channels]``
* ``layer_<i>.std``: float32 ``[channels]``, population standard deviation, 0 where constant
* ``layer_<i>.keep``: uint8 ``[channels]``, 0 for outlier and constant channels, else 1

The file's metadata (text) says of what these are: ``representation``, ``role``, ``score`` and
``threshold`` of the outlier rule, ``images``, ``tokens``, ``backbone``, ``version``,
``weights_sha256``, ``adapter_sha256``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.payload.table import StatsTable
from analysis.read.outliers import rank_channels
from analysis.read.scores import Score
from analysis.vocabulary import Cell, Representation, TokenRole


def build_normalization(
    table: StatsTable,
    representation: Representation,
    role: TokenRole,
    score: Score = Score.MAX_ABS,
    threshold: float | None = None,
) -> dict[str, NDArray[np.float32] | NDArray[np.uint8]]:
    """Return the arrays of every layer, by the keys above.

    Args:
        table: The payload's numbers.
        representation: What of the block output the head will be given.
        role: Which tokens it will be given.
        score: What makes a channel an outlier.
        threshold: From which score on; the default of that score where None.
    """
    arrays: dict[str, NDArray[np.float32] | NDArray[np.uint8]] = {}
    for layer in table.layers.tolist():
        mean, std, keep = find_normalization(
            table, Cell(layer, representation, role), score, threshold
        )
        arrays[f"layer_{layer}.mean"] = np.ascontiguousarray(mean)
        arrays[f"layer_{layer}.std"] = np.ascontiguousarray(std)
        arrays[f"layer_{layer}.keep"] = keep.astype(np.uint8)
    return arrays


def find_normalization(
    table: StatsTable, cell: Cell, score: Score = Score.MAX_ABS, threshold: float | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return mean, std and which channels are kept of one cell, ``[channels]`` each."""
    mean, std, _ = table[cell]
    ranking = rank_channels(table, *cell, score, k=1, threshold=threshold)
    return mean, std, ~ranking.outlier_mask & (std > 0)


def normalize(table: StatsTable, cell: Cell, vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return what a head is given where it applies the vector of this cell, ``[images, channels]``.

    Args:
        table: Of the payload that the vector is made of.
        cell: Where the vectors are from.
        vectors: ``[images, channels]``: tokens, or their mean over the patches.
    """
    mean, std, keep = find_normalization(table, cell)
    return (vectors - mean) / np.where(std > 0, std, np.float32(np.inf)) * keep
