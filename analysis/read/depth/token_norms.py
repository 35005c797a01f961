"""L2 norms of tokens, read from histograms over logarithmic bins.

A few patch tokens of far higher norm than the rest (a second hump) are what the registers were
made for (Darcet et al. 2024, Vision Transformers Need Registers). A quantile is interpolated
inside its bin, so it is off by at most the bin's width: a factor of 10^(6/64), 24 %.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.payload.extras import NORM_EDGES

QUANTILES = (0.01, 0.5, 0.99)
"""Low, middle and high norm that are followed along depth."""


def find_norm_quantiles(
    counts: NDArray[np.integer], quantiles: Sequence[float] = QUANTILES
) -> NDArray[np.float64]:
    """Return norms below which a share of the tokens lies, ``[layers, quantiles]``.

    Args:
        counts: ``[layers, 66]``: bins of `NORM_EDGES` with under- and overflow at the ends; what
            lies beyond counts as if it stood at the first or last edge.
        quantiles: Shares in [0, 1].

    Returns:
        NaN for a layer without tokens.
    """
    inner = counts[:, 1:-1].astype(np.float64)
    inner[:, 0] += counts[:, 0]
    inner[:, -1] += counts[:, -1]
    logs = np.log10(NORM_EDGES)
    norms = np.full((len(counts), len(quantiles)), np.nan)
    for row, layer in enumerate(inner):
        total = layer.sum()
        if not total:
            continue
        below = np.concatenate([[0.0], np.cumsum(layer)]) / total
        for column, share in enumerate(quantiles):
            at = min(int(np.searchsorted(below, share, side="left")), len(below) - 1)
            at = max(at, int(np.flatnonzero(layer)[0]) + 1)
            inside = (share - below[at - 1]) / (below[at] - below[at - 1])
            norms[row, column] = logs[at - 1] + inside * (logs[at] - logs[at - 1])
    return 10**norms


def count_beyond(counts: NDArray[np.integer]) -> int:
    """Return how many tokens have a norm outside of all bins."""
    return int(counts[:, 0].sum() + counts[:, -1].sum())


def tabulate_norms(
    layers: NDArray[np.integer], by_role: dict[str, NDArray[np.integer]]
) -> pd.DataFrame:
    """Return the non-empty bins: layer, role, from, to, tokens (0 and inf beyond the edges)."""
    low = np.concatenate([[0.0], NORM_EDGES])
    high = np.concatenate([NORM_EDGES, [np.inf]])
    frames = []
    for role, counts in by_role.items():
        row, column = np.nonzero(counts)
        frames.append(
            pd.DataFrame(
                {
                    "layer": layers[row],
                    "role": role,
                    "from": low[column],
                    "to": high[column],
                    "tokens": counts[row, column],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
