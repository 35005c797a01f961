"""Tables of the Versions page."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from analysis.language import N_, Texts, _
from analysis.read.compare.config_diff import name_sides
from analysis.read.compare.top_channels import TopComparison
from analysis.read.outliers import SCORE_LABELS, Score
from pages.components.shared.tables import NUMBER, choose_format
from pages.components.shared.text import plain

STATUS_LABELS = Texts({"kept": N_("kept"), "new": N_("new"), "gone": N_("gone")})


def show_top_comparison(top: TopComparison, names: tuple[str, str], score: Score) -> None:
    """Show the channels that are among the top of either version."""
    number = st.column_config.NumberColumn
    scores = [] if score is Score.MAX_ABS else ["score_a", "score_b"]
    sizes = choose_format(top.frame[["max_abs_a", "max_abs_b"]])
    st.dataframe(
        top.frame.assign(status=top.frame["status"].map(STATUS_LABELS.__getitem__)),
        hide_index=True,
        key="top comparison",
        column_order=[
            *("channel", "status", "rank_a", "rank_b"),
            *scores,
            *("max_abs_a", "max_abs_b", "ratio"),
        ],
        column_config={
            "channel": number(_("Channel"), format="%d"),
            "status": st.column_config.TextColumn(
                _("Among the top"),
                help=_("new: only of {names_2}; gone: only of {names_1}.").format(
                    names_2=names[1], names_1=names[0]
                ),
            ),
            "rank_a": number(_("Rank, {names_1}").format(names_1=names[0]), format="%d"),
            "rank_b": number(_("Rank, {names_2}").format(names_2=names[1]), format="%d"),
            "score_a": number(f"{SCORE_LABELS[score]}, {names[0]}", format=NUMBER),
            "score_b": number(f"{SCORE_LABELS[score]}, {names[1]}", format=NUMBER),
            "max_abs_a": number(_("max |x|, {names_1}").format(names_1=names[0]), format=sizes),
            "max_abs_b": number(_("max |x|, {names_2}").format(names_2=names[1]), format=sizes),
            "ratio": number(
                _("Ratio"),
                format="%.3f",
                help=_("max |x| of {names_2} / {names_1}.").format(
                    names_2=names[1], names_1=names[0]
                ),
            ),
        },
    )


def show_top_counts(
    top: TopComparison, names: tuple[str, str], *, same_counts: bool = True
) -> None:
    """Show how many of the top channels are in both, new, gone and grown.

    Args:
        top: The comparison.
        names: The versions.
        same_counts: Whether both were measured on as many tokens; else sizes say nothing.
    """
    first, second = (plain(name) for name in names)
    counts = top.frame["status"].value_counts()
    grown = int((top.frame["ratio"] >= GROWN).sum()) if same_counts else None
    with st.container(horizontal=True):
        st.metric(_("In both"), int(counts.get("kept", 0)), border=True)
        st.metric(
            _("New"),
            int(counts.get("new", 0)),
            border=True,
            help=_("Only in {second}.").format(second=second),
        )
        st.metric(
            _("Gone"),
            int(counts.get("gone", 0)),
            border=True,
            help=_("Only in {first}.").format(first=first),
        )
        st.metric(
            _("Grown"),
            "–" if grown is None else grown,
            border=True,
            help=_(
                "max |x| in {second} at least {grown} times that in {first}; told "
                "only where both were measured on as many tokens."
            ).format(second=second, grown=GROWN, first=first),
        )


def show_config_diff(frame: pd.DataFrame, names: tuple[str, str]) -> None:
    """Show the settings in which two configs differ."""
    text = st.column_config.TextColumn
    st.dataframe(
        name_sides(frame, names),
        hide_index=True,
        key="config diff",
        column_config={
            "key": text(_("Setting")),
            "a": text(names[0]),
            "b": text(names[1]),
            "status": text(_("What")),
        },
    )


GROWN = 1.5
"""From this ratio of max |x| on a channel counts as grown; ranked, never tested for noise."""


def warn_of_other_counts() -> None:
    """Say what different numbers of tokens do to the largest values."""
    st.caption(
        _(
            "The two were measured on different numbers of tokens, and max |x| "
            "grows with them: compare ranks, not sizes."
        )
    )
