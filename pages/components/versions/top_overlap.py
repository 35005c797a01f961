"""How far the top channels of two versions agree, beside what they share without a change."""

from __future__ import annotations

import numpy as np
import streamlit as st

from analysis.language import N_, _
from analysis.read.compare.overlap import RankBy
from analysis.read.outliers import SCORE_LABELS, Score
from analysis.show.views import top_channels as views
from pages.components.shared import downloads, folds, selection
from pages.components.shared.version import Version
from pages.components.versions import differences

JACCARD, RANKED, GROUPED = N_("Jaccard"), N_("rank-biased"), N_("with its noise")
_HELP = N_(
    "**Jaccard**: channels in both tops as a share of those in either. "
    " \n**Rank-biased**: agreement of the two rankings, the first ranks "
    "counting most.  \n**With its noise**: Jaccard of rankings by size, "
    "sqrt(mean² + std²), beside what two measurements without a change "
    "share. max |x| is not kept by image group, so that its own noise "
    "is not known."
)


def show(baseline: Version, version: Version, score: Score, k: int) -> None:
    """Show the overlap over depth behind a line."""
    with folds.fold(_("How far the top channels agree, layer by layer"), views.OVERLAP) as is_open:
        if is_open:
            _show(baseline, version, score, k)


def _show(baseline: Version, version: Version, score: Score, k: int) -> None:
    pair = baseline, version
    rank_by = RankBy.MEAN_OVER_STD if score is Score.MEAN_OVER_STD else RankBy.RMS
    how = selection.choose(
        "overlap",
        _("Overlap measured as"),
        [GROUPED, JACCARD, RANKED],
        default=GROUPED,
        format_func=_,
        help=_(_HELP),
    )
    overlap, by_chance = differences.measure_group_overlap(*pair, rank_by, k)
    if how == GROUPED and np.isnan(overlap).all():
        how = JACCARD
        st.caption(_("Without statistics by image group the noise of an overlap is not known."))
    ranked_by = SCORE_LABELS[score]
    if how == GROUPED:
        ranked_by = _("size") if rank_by is RankBy.RMS else ranked_by
    else:
        by_chance = None
        measure = differences.measure_overlap
        if how == RANKED:
            measure = differences.measure_rank_overlap
        overlap = measure(*pair, score, k)
    downloads.show(
        views.overlap(
            differences.compare(*pair),
            overlap,
            k=k,
            ranked_by=ranked_by,
            by_chance=by_chance,
            measure=RANKED if how == RANKED else JACCARD,
            mode=downloads.mode(),
        )
    )
