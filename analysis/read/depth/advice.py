"""Which normalisation a head should use on a layer's features, and why.

The facts are those of the block output: which share of its channels are outliers, how much of its
energy (mean² + std², summed over channels) they hold, whether they are an offset that is the same
on all tokens (|mean| / std), and what the shared norm leaves of them. The first rule that applies
decides:

1. *raw*: no channel is an outlier.
2. *global LN*: it is the last layer, for which the norm was trained, and no outlier is left after
   it. Earlier layers are not what it was trained for, however well it lowers their outliers.
3. *BatchNorm-like*: the outliers are an offset. Subtracting each channel's mean and dividing by its
   std removes it; DINOv3 (Siméoni et al. 2025, appendix A.2) advises batch normalisation or PCA
   for intermediate layers, and Sun et al. 2024 (Massive Activations) found them near constant.
4. *per-layer LN*: the outliers hold at most half of the energy, so that dividing by a token's own
   std does not let them set the scale of all other channels.
5. *drop channels*: few channels hold more than half of the energy and vary; without them no few
   channels set the scale of a token.
6. *BatchNorm-like* otherwise: only a scale for each channel brings so many onto one footing.

The observations come from those papers; the thresholds are ours, and an advice is where to start,
not a measurement of a head's quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import pandas as pd

from analysis.language import N_, _
from analysis.payload.table import StatsTable
from analysis.read.depth.suppression import measure_suppression
from analysis.read.scores import Score, find_outliers, mean_over_std
from analysis.vocabulary import (
    ROLES,
    Representation,
    Statistic,
    TokenRole,
)

FEWEST_IMAGES = 2
"""One image says nothing of how channels vary between images: no advice."""
OFFSET = 3.0
"""|mean| / std from which a channel is an offset more than a feature."""
DOMINANT_ENERGY = 0.5
FEW_CHANNELS = 0.01


class Norm(StrEnum):
    """What can be done to a layer's features before a head sees them."""

    RAW = N_("raw")
    GLOBAL_LN = N_("global LN")
    PER_LAYER_LN = N_("per-layer LN")
    BATCH_NORM = N_("BatchNorm-like")
    DROP = N_("drop channels")
    NONE = N_("no advice")


@dataclass(frozen=True)
class LayerFacts:
    """What an advice rests on, of one layer and token role."""

    outlier_share: float
    """Share of the channels of the block output that are outliers, in [0, 1]."""
    outlier_energy: float
    """Share of the energy that they hold, in [0, 1]."""
    mean_over_std: float
    """Median over the outliers of |mean| / std over tokens; over all channels without outliers."""
    suppression: float
    """By what factor the shared norm lowers their standing; NaN without outliers."""
    remaining: int
    """Outliers that are left after the shared norm."""
    last: bool
    """Whether it is the network's last layer."""


def advise(facts: LayerFacts) -> tuple[Norm, str]:
    """Return the norm to begin with and the reason in one sentence."""
    energy = _("{outlier_energy:.0%} of the energy").format(outlier_energy=facts.outlier_energy)
    if facts.outlier_share == 0:
        return Norm.RAW, _("No channel stands out, so there is nothing that a norm must tame.")
    if facts.remaining == 0 and facts.last:
        return Norm.GLOBAL_LN, _(
            "The shared norm was trained for this layer and leaves no outlier."
        )
    if facts.mean_over_std >= OFFSET:
        return (
            Norm.BATCH_NORM,
            _(
                "The outliers are an offset, |mean| / std = {mean_over_std:.1f}, "
                "which a mean and a std of each channel remove."
            ).format(mean_over_std=facts.mean_over_std),
        )
    if facts.outlier_energy <= DOMINANT_ENERGY:
        return (
            Norm.PER_LAYER_LN,
            _(
                "The outliers vary and hold only {energy}, so they do not set a token's scale."
            ).format(energy=energy),
        )
    if facts.outlier_share <= FEW_CHANNELS:
        return (
            Norm.DROP,
            _(
                "A few channels hold {energy} and vary, so they set a token's scale: drop them."
            ).format(energy=energy),
        )
    return (
        Norm.BATCH_NORM,
        _(
            "Many channels stand out and hold {energy}: only a scale for each "
            "brings them onto one footing."
        ).format(energy=energy),
    )


def advise_layers(table: StatsTable, layers: Sequence[int]) -> pd.DataFrame:
    """Return the facts and the advice for some layers, one row per layer and token role.

    Returns:
        layer, role, outlier_share, outlier_energy, suppression (NaN without outliers), remaining,
        mean_over_std (NaN of one image), advice, reason.
    """
    suppression = measure_suppression(table)
    rows = []
    for layer in layers:
        at = table.position(layer)
        for place, role in enumerate(ROLES):
            facts = _gather(
                table,
                at,
                role,
                float(suppression.factor[at, place]),
                int(suppression.remaining[at, place]),
            )
            norm, reason = advise(facts)
            if 0 < table.num_images < FEWEST_IMAGES:
                facts = replace(facts, mean_over_std=float("nan"))
                norm, reason = Norm.NONE, _("One image does not tell how channels vary.")
            rows.append(
                {
                    "layer": int(layer),
                    "role": role.value,
                    "outlier_share": facts.outlier_share,
                    "outlier_energy": facts.outlier_energy,
                    "suppression": facts.suppression,
                    "remaining": facts.remaining,
                    "mean_over_std": facts.mean_over_std,
                    "advice": norm.value,
                    "reason": reason,
                }
            )
    return pd.DataFrame(rows)


def _gather(
    table: StatsTable, at: int, role: TokenRole, suppression: float, remaining: int
) -> LayerFacts:
    cell = table.values[at, Representation.PRE.position, role.position]
    mean, std = (cell[s.position].astype(np.float64) for s in (Statistic.MEAN, Statistic.STD))
    outlier = find_outliers(cell, Score.MAX_ABS)
    energy = mean**2 + std**2
    among = outlier if outlier.any() else np.ones_like(outlier)
    return LayerFacts(
        outlier_share=float(outlier.mean()),
        outlier_energy=float(energy[outlier].sum() / max(energy.sum(), np.finfo(float).tiny)),
        mean_over_std=float(np.median(mean_over_std(mean[among], std[among]))),
        suppression=suppression,
        remaining=remaining,
        last=at == table.num_layers - 1,
    )
