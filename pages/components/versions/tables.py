"""Tables of the Versions page."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from analysis.read.compare.top_channels import TopComparison
from analysis.read.outliers import SCORE_LABELS, Score
from pages.components.shared.tables import NUMBER
from pages.components.shared.text import plain


def show_top_comparison(top: TopComparison, names: tuple[str, str], score: Score) -> None:
    """Show the channels that are among the top of either version."""
    number = st.column_config.NumberColumn
    scores = [] if score is Score.MAX_ABS else ["score_a", "score_b"]
    st.dataframe(
        top.frame,
        hide_index=True,
        key="top comparison",
        column_order=[
            *("channel", "status", "rank_a", "rank_b"),
            *scores,
            *("max_abs_a", "max_abs_b", "ratio"),
        ],
        column_config={
            "channel": number("Channel", format="%d"),
            "status": st.column_config.TextColumn(
                "Among the top", help=f"new: only of {names[1]}; gone: only of {names[0]}."
            ),
            "rank_a": number(f"Rank, {names[0]}", format="%d"),
            "rank_b": number(f"Rank, {names[1]}", format="%d"),
            "score_a": number(f"{SCORE_LABELS[score]}, {names[0]}", format=NUMBER),
            "score_b": number(f"{SCORE_LABELS[score]}, {names[1]}", format=NUMBER),
            "max_abs_a": number(f"max |x|, {names[0]}", format=NUMBER),
            "max_abs_b": number(f"max |x|, {names[1]}", format=NUMBER),
            "ratio": number("Ratio", format="%.3f", help=f"max |x| of {names[1]} / {names[0]}."),
        },
    )


def show_top_counts(
    top: TopComparison, names: tuple[str, str], score: Score, *, same_counts: bool = True
) -> None:
    """Show how many of the top channels are in both, new, gone and grown, and how far they agree.

    Args:
        top: The comparison.
        names: The versions.
        score: What the channels are ranked by.
        same_counts: Whether both were measured on as many tokens; else sizes say nothing.
    """
    first, second = (plain(name) for name in names)
    counts = top.frame["status"].value_counts()
    grown = int((top.frame["ratio"] >= GROWN).sum()) if same_counts else None
    with st.container(horizontal=True):
        st.metric("In both", int(counts.get("kept", 0)), border=True)
        st.metric("New", int(counts.get("new", 0)), border=True, help=f"Only in {second}.")
        st.metric("Gone", int(counts.get("gone", 0)), border=True, help=f"Only in {first}.")
        st.metric(
            "Grown",
            "–" if grown is None else grown,
            border=True,
            help=f"max |x| in {second} at least {GROWN} times that in {first}; told "
            "only where both were measured on as many tokens.",
        )
        st.metric(
            f"Overlap by {SCORE_LABELS[score]}",
            f"{top.jaccard:.2f}",
            border=True,
            help="Jaccard index of the two top lists. The figure of the overlap over depth ranks "
            "by size, sqrt(mean² + std²), where it draws the noise, and so has another number.",
        )


def show_config_diff(frame: pd.DataFrame, names: tuple[str, str]) -> None:
    """Show the settings in which two configs differ."""
    text = st.column_config.TextColumn
    only = {
        f"only in {letter}": f"only in {name}" for letter, name in zip("AB", names, strict=True)
    }
    st.dataframe(
        frame.replace({"status": only}),
        hide_index=True,
        key="config diff",
        column_config={
            "key": text("Setting"),
            "a": text(names[0]),
            "b": text(names[1]),
            "status": text("What"),
        },
    )


GROWN = 1.5
"""From this ratio of max |x| on a channel counts as grown; ranked, never tested for noise."""
