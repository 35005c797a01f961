"""How many tokens exceed a level, and which channels are outliers by the rule of LLM.int8()."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.vocabulary import EXCEED_LEVELS

MIN_LAYERS = 0.25
MIN_TOKENS = 0.06
"""Dettmers et al. 2022, LLM.int8(): a channel is an outlier if |x| reaches 6 in at least a quarter
of the layers and 6 % of the tokens. The payload counts |x| > 6."""


@dataclass(frozen=True)
class Exceedance:
    """The share of tokens of one layer beyond each level, and the rule over all layers."""

    share: NDArray[np.float64]
    """``[levels, channels]``, 0 to 1; the levels are `EXCEED_LEVELS`."""
    layers_met: NDArray[np.int64]
    """``[channels]``: in how many layers enough tokens exceed the first level."""
    layers: int
    """How many were measured."""

    @property
    def is_int8_outlier(self) -> NDArray[np.bool_]:
        """``[channels]``: whether the rule of LLM.int8() is met."""
        return self.layers_met >= MIN_LAYERS * self.layers


def count_layers_met(counts: NDArray[np.integer], tokens: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return in how many layers enough tokens of a channel exceed the first level, ``[channels]``.

    Args:
        counts: ``[layers, levels, channels]``: tokens beyond the level.
        tokens: ``[layers]``: all tokens; at least 1 each.
    """
    return (counts[:, 0] / tokens[:, None] >= MIN_TOKENS).sum(axis=0)


def tabulate_exceedance(found: Exceedance) -> pd.DataFrame:
    """Return one row per channel: its share of tokens beyond each level, and the rule."""
    columns = {
        f"share_above_{level:g}": found.share[index] for index, level in enumerate(EXCEED_LEVELS)
    }
    channels = np.arange(found.share.shape[-1], dtype=np.int32)
    frame = pd.DataFrame({"channel": channels, **columns})
    return frame.assign(layers_met=found.layers_met, int8_outlier=found.is_int8_outlier)
