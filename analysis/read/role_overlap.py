"""Whether CLS, patches and storage tokens have the same outlier channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.read.scores import Score, find_outliers, jaccard
from analysis.vocabulary import Statistic


@dataclass(frozen=True)
class RoleOverlap:
    """The outliers of one layer and representation, role by role."""

    frame: pd.DataFrame
    """One row per channel that is an outlier in any role, those of most roles first: channel,
    roles (in how many it is one), and for each role max |x|."""
    outliers: dict[str, NDArray[np.bool_]]
    """By role, ``[channels]``."""

    @property
    def jaccard(self) -> pd.DataFrame:
        """Outliers common to two roles over those of either; NaN where neither has any."""
        masks = np.stack([*self.outliers.values()])
        either = masks[:, None] | masks[None]
        values = np.where(either.any(axis=-1), jaccard(masks[:, None], masks[None]), np.nan)
        names = list(self.outliers)
        return pd.DataFrame(values, index=names, columns=names)


def compare_roles(
    statistics: Mapping[str, NDArray[np.floating]],
    score: Score = Score.MAX_ABS,
    threshold: float | None = None,
) -> RoleOverlap:
    """Find the outliers of each role and line them up by channel.

    Args:
        statistics: By role ``[3, channels]``: mean, std, max_abs.
        score: What makes an outlier.
        threshold: From which score on; `DEFAULT_THRESHOLDS` where None.
    """
    outliers = {role: find_outliers(cell, score, threshold) for role, cell in statistics.items()}
    roles = np.sum([*outliers.values()], axis=0)
    channels = np.flatnonzero(roles)
    frame = pd.DataFrame(
        {"channel": channels.astype(np.int32), "roles": roles[channels].astype(np.int32)}
        | {role: cell[Statistic.MAX_ABS.position][channels] for role, cell in statistics.items()}
    )
    largest = frame[list(statistics)].max(axis=1)
    order = np.lexsort((-largest.to_numpy(), -frame["roles"].to_numpy()))
    return RoleOverlap(frame.iloc[order].reset_index(drop=True), outliers)
