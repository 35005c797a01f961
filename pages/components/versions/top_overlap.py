"""How far the top channels of two versions agree, beside what they share without a change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from analysis.read.compare.overlap import RankBy
from analysis.read.frames import tabulate_cells
from analysis.read.outliers import SCORE_LABELS, Score
from analysis.show.figures.versions import build_jaccard_curves
from analysis.vocabulary import Representation, TokenRole
from pages.components.shared import downloads, selection
from pages.components.shared.version import Version
from pages.components.versions import differences

JACCARD, RANKED, GROUPED = "Jaccard", "rank-biased", "with its noise"
_HELP = (
    "**Jaccard**: channels in both tops as a share of those in either.  \n"
    "**Rank-biased**: agreement of the two rankings, the first ranks counting most.  \n"
    "**With its noise**: Jaccard of rankings by size, sqrt(mean² + std²), beside what two "
    "measurements without a change share. max |x| is not kept by image group, so that its own "
    "noise is not known."
)


def show(
    a: Version,
    b: Version,
    score: Score,
    k: int,
    representations: Sequence[Representation],
    roles: Sequence[TokenRole],
) -> None:
    """Show the overlap over depth, measured as chosen."""
    layers = differences.compare(a, b).layers
    rank_by = RankBy.MEAN_OVER_STD if score is Score.MEAN_OVER_STD else RankBy.RMS
    st.subheader(f"Overlap of the top {k}")
    how = selection.choose(
        "overlap", "Measured as", [GROUPED, JACCARD, RANKED], default=GROUPED, help=_HELP
    )
    found, by_chance = differences.measure_group_overlap(a, b, rank_by, k)
    if how == GROUPED and np.isnan(found).all():
        how = JACCARD
        st.caption("Without statistics by image group the noise of an overlap is not known.")
    ranking = SCORE_LABELS[score]
    if how == GROUPED:
        ranking = "size" if rank_by is RankBy.RMS else ranking
    else:
        measure = (
            differences.measure_overlap if how == JACCARD else differences.measure_rank_overlap
        )
        found, by_chance = measure(a, b, score, k), None

    def tabulate() -> pd.DataFrame:
        table = tabulate_cells(layers, found, "overlap")
        if by_chance is not None:
            table["without a change"] = by_chance.ravel()
        return table

    downloads.show_figure(
        build_jaccard_curves(
            layers,
            found,
            k=k,
            by_chance=by_chance,
            representations=representations,
            roles=roles,
            measure="rank-biased" if how == RANKED else "Jaccard",
            mode=downloads.mode(),
        ),
        "overlap",
        tabulate,
    )
    thin = " Thin lines: what is shared without a change." if by_chance is not None else ""
    st.caption(f"Ranked by {ranking}.{thin}")
