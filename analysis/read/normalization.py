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
from analysis.vocabulary import Representation, Statistic, TokenRole


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
        std = table.get(layer, representation, role, Statistic.STD)
        outliers = rank_channels(
            table, layer, representation, role, score, k=1, threshold=threshold
        ).outlier_mask
        mean = table.get(layer, representation, role, Statistic.MEAN)
        arrays[f"layer_{layer}.mean"] = np.ascontiguousarray(mean)
        arrays[f"layer_{layer}.std"] = np.ascontiguousarray(std)
        arrays[f"layer_{layer}.keep"] = (~outliers & (std > 0)).astype(np.uint8)
    return arrays
