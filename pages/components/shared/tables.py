"""Tables on the screen: what each column is called, how its numbers look, what it means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from analysis.payload.table import Aggregate, StatsTable
from analysis.read.checks import Check
from analysis.read.compare.drift import TopComparison
from analysis.read.depth.suppression import Suppression
from analysis.read.outliers import SCORE_HELP, SCORE_LABELS, Score
from analysis.read.role_overlap import RoleOverlap
from analysis.show.figures.theme import role_label
from analysis.vocabulary import Representation, Statistic, TokenRole
from pages.components.shared.text import plain

_NUMBER = "%.4g"
_TIMES = "%.1f×"
_MEAN_HELP = "Over all tokens, signed."
_STD_HELP = "Standard deviation over all tokens."

GROWN = 1.5
"""From this ratio of max |x| on a channel counts as grown; ranked, never tested for noise."""


def show_ranking(
    frame: pd.DataFrame,
    table: StatsTable,
    representation: Representation,
    role: TokenRole,
    score: Score,
) -> int | None:
    """Show ranked channels with their course through depth; return the selected row's channel."""
    channels = frame["channel"].to_numpy()
    course = table.over_depth(representation, role, Statistic.MAX_ABS)[:, channels].T
    shown = frame.assign(course=list(course))
    number = st.column_config.NumberColumn
    event = st.dataframe(
        shown,
        hide_index=True,
        key="ranking",
        on_select="rerun",
        selection_mode="single-row",
        column_order=[
            "rank",
            "channel",
            *([] if score is Score.MAX_ABS else ["score"]),
            "max_abs",
            "times_median",
            "mean",
            "std",
            "flags",
            "fp16_headroom",
            "int8_levels",
            "course",
        ],
        column_config={
            "rank": number("Rank", width="small"),
            "channel": number("Channel", format="%d", width="small"),
            "score": number(SCORE_LABELS[score], format=_NUMBER, help=SCORE_HELP[score]),
            "max_abs": number("max |x|", format=_NUMBER, help="Largest absolute value."),
            "times_median": number(
                "× median", format=_TIMES, help=SCORE_HELP[Score.TIMES_MEDIAN], width="small"
            ),
            "mean": number("mean", format=_NUMBER, help=_MEAN_HELP),
            "std": number("std", format=_NUMBER, help=_STD_HELP),
            "flags": st.column_config.TextColumn(
                "Marks",
                help="outlier: by the score that is ranked by; massive: above 100 and above 1000 "
                "times the typical activation; constant: the same on all tokens.",
            ),
            "fp16_headroom": number(
                "fp16 headroom",
                format="%.3g×",
                help="By what factor the channel could grow before fp16 overflows at 65,504.",
            ),
            "int8_levels": number(
                "int8 levels left",
                format="%.0f",
                help="Of 255, what the median channel keeps if one scale has to cover this one.",
            ),
            "course": st.column_config.LineChartColumn(
                "max |x| over depth", help="First to last layer; each row on its own scale."
            ),
        },
    )
    return _read_row(event, frame)


def show_channels(frame: pd.DataFrame, key: str, *, marked: int | None = None) -> int | None:
    """Show channels with their statistics; return the one whose row is selected."""
    number = st.column_config.NumberColumn
    shown = frame
    if marked is not None:
        shown = frame.assign(here=np.where(frame["channel"] == marked, "◀", ""))
    event = st.dataframe(
        shown,
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "rank": number("Rank", format="%d", width="small", help="By max |x|, from 1."),
            "channel": number("Channel", format="%d", width="small"),
            "mean": number("mean", format=_NUMBER, help=_MEAN_HELP),
            "std": number("std", format=_NUMBER, help=_STD_HELP),
            "max_abs": number("max |x|", format=_NUMBER, help="Largest absolute value."),
            "here": st.column_config.TextColumn("", width="small"),
        },
    )
    return _read_row(event, frame)


def show_spread(frame: pd.DataFrame, channel: int) -> None:
    """Show how each statistic is spread over channels, and where one channel stands."""
    number = st.column_config.NumberColumn
    st.dataframe(
        frame,
        hide_index=True,
        key="spread",
        column_order=[
            *("statistic", "here", "rank"),
            *("smallest", "median", "average", "p99", "largest", "deviation"),
        ],
        column_config={
            "statistic": st.column_config.TextColumn("Over channels"),
            "smallest": number("smallest", format=_NUMBER),
            "median": number("median", format=_NUMBER),
            "average": number("average", format=_NUMBER),
            "p99": number("p99", format=_NUMBER, help="99 % of the channels are below it."),
            "largest": number("largest", format=_NUMBER),
            "deviation": number("spread", format=_NUMBER, help="Standard deviation over channels."),
            "here": number(f"channel {channel}", format=_NUMBER),
            "rank": number("its rank", format="%d", help="1 is the largest of all channels."),
        },
    )


def show_role_overlap(overlap: RoleOverlap) -> int | None:
    """Show which channels are outliers in which roles; return the selected row's channel."""
    number = st.column_config.NumberColumn
    frame = overlap.frame
    roles = list(overlap.outliers)
    channels = frame["channel"].to_numpy()
    marks = np.stack([overlap.outliers[role][channels] for role in roles], axis=1)
    labels = np.array([role_label(role) for role in roles])
    where = ["all" if row.all() else ", ".join(labels[row]) for row in marks]
    event = st.dataframe(
        frame.assign(where=where),
        hide_index=True,
        key="role overlap",
        on_select="rerun",
        selection_mode="single-row",
        column_order=["channel", "where", *roles],
        column_config={
            "channel": number("Channel", format="%d", width="small"),
            "where": st.column_config.TextColumn(
                "Outlier in", help="The kinds of tokens among whose channels it is an outlier."
            ),
            **{
                role: number(
                    f"max |x|, {label}",
                    format=_NUMBER,
                    help=f"Largest absolute value over all {label} tokens.",
                )
                for role, label in zip(roles, labels, strict=True)
            },
        },
    )
    return _read_row(event, frame)


def _read_row(event: Any, frame: pd.DataFrame) -> int | None:
    rows = [row for row in event["selection"]["rows"] if row < len(frame)]
    return int(frame["channel"].iloc[rows[0]]) if rows else None


def show_persistence(frame: pd.DataFrame, num_layers: int) -> int | None:
    """Show in how many layers each channel stands out; return the selected row's channel."""
    number = st.column_config.NumberColumn
    event = st.dataframe(
        frame,
        hide_index=True,
        key="persistence",
        on_select="rerun",
        selection_mode="single-row",
        placeholder="–",
        column_config={
            "channel": number("Channel", format="%d"),
            "layers_in_top": st.column_config.ProgressColumn(
                "Layers in the top",
                format="%d",
                min_value=0,
                max_value=num_layers,
                help="In how many layers it is among the listed top.",
            ),
            "layers_outlier": st.column_config.ProgressColumn(
                "Layers as an outlier",
                format="%d",
                min_value=0,
                max_value=num_layers,
                help="In how many layers its score reaches the threshold.",
            ),
            "share": None,
            "emergence_layer": number(
                "Emerges at", format="%d", help="Where its longest run as an outlier begins."
            ),
            "last_layer": number("Last at", format="%d", help="Last layer as an outlier."),
            "peak_layer": number("Peak at", format="%d", help="Where max |x| is largest."),
            "peak": number(
                "Peak max |x|", format=_NUMBER, help="Its largest max |x| of any layer."
            ),
        },
    )
    return _read_row(event, frame)


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
            "score_a": number(f"{SCORE_LABELS[score]}, {names[0]}", format=_NUMBER),
            "score_b": number(f"{SCORE_LABELS[score]}, {names[1]}", format=_NUMBER),
            "max_abs_a": number(f"max |x|, {names[0]}", format=_NUMBER),
            "max_abs_b": number(f"max |x|, {names[1]}", format=_NUMBER),
            "ratio": number("Ratio", format="%.3f", help=f"max |x| of {names[1]} / {names[0]}."),
        },
    )


def show_top_counts(
    top: TopComparison, names: tuple[str, str], *, same_counts: bool = True
) -> None:
    """Show how many of the top channels are in both, new, gone and grown, and how far they agree.

    Args:
        top: The comparison.
        names: The versions.
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
            "Overlap", f"{top.jaccard:.2f}", border=True, help="Jaccard index of the two top lists."
        )


def show_depth(frame: pd.DataFrame) -> None:
    """Show every aggregate of a statistic, layer by layer."""
    number = st.column_config.NumberColumn
    text = st.column_config.TextColumn
    st.dataframe(
        frame,
        hide_index=True,
        key="layers frame",
        column_order=["version", "layer", "representation", "role", "tokens", *Aggregate],
        column_config={
            "version": text("Version"),
            "layer": number("Layer", format="%d", width="small"),
            "representation": text("Representation"),
            "role": text("Tokens"),
            "tokens": number("Number of tokens", format="localized", width="small"),
            **{aggregate.value: number(aggregate, format=_NUMBER) for aggregate in Aggregate},
        },
    )


def show_extremes(frame: pd.DataFrame) -> None:
    """Show the layers whose values pass a bound."""
    number = st.column_config.NumberColumn
    st.dataframe(
        frame,
        hide_index=True,
        key="extremes",
        column_config={
            "layer": number("Layer", format="%d", width="small"),
            "min": number("Smallest", format=_NUMBER, width="small"),
            "min_channel": number("in channel", format="%d", width="small"),
            "max": number("Largest", format=_NUMBER, width="small"),
            "max_channel": number("in channel ", format="%d", width="small"),
            "channels_below": number(
                "Below", format="%d", width="small", help="Channels below the lower bound."
            ),
            "channels_above": number(
                "Above", format="%d", width="small", help="Channels above the upper bound."
            ),
        },
    )


def tabulate_suppression(layers: NDArray[np.integer], found: Suppression) -> pd.DataFrame:
    """Return the suppression as one row per layer and role."""
    index = pd.MultiIndex.from_product([layers, [*map(str, TokenRole)]], names=["layer", "role"])
    return pd.DataFrame(
        {
            "factor": found.factor.ravel(),
            "outliers": found.outliers.ravel(),
            "remaining": found.remaining.ravel(),
        },
        index=index,
    ).reset_index()


def show_advice(frame: pd.DataFrame) -> None:
    """Show which norm each layer needs, with the facts and the reason."""
    shown = pd.DataFrame(
        {
            "Layer": frame["layer"].astype(str),
            "Tokens": frame["role"].map(role_label),
            "Advice": frame["advice"],
            "Because": frame["reason"],
            "Outliers": frame["outlier_share"],
            "Suppression": frame["suppression"],
            "|mean| / std": frame["mean_over_std"],
        }
    )
    # a table, since unlike a dataframe it wraps the reasons; styled, so that numbers align
    styled = shown.set_index("Layer").style.format(
        {"Outliers": "{:.2%}", "Suppression": "{:,.1f}×", "|mean| / std": "{:.2f}"}, na_rep="–"
    )
    st.table(styled)


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


def tabulate_cells(
    layers: NDArray[np.integer], values: NDArray[np.number], name: str
) -> pd.DataFrame:
    """Return values ``[layers, 3, 2]`` as one row per layer, representation and role."""
    index = pd.MultiIndex.from_product(
        [layers, [*map(str, Representation)], [*map(str, TokenRole)]],
        names=["layer", "representation", "role"],
    )
    return pd.DataFrame({name: values.ravel()}, index=index).reset_index()


def tabulate_pair(
    sizes: tuple[NDArray[np.floating], NDArray[np.floating]],
    pair: tuple[Representation, Representation],
) -> pd.DataFrame:
    """Return a statistic of every channel in two representations."""
    columns = {str(each): values for each, values in zip(pair, sizes, strict=True)}
    return pd.DataFrame(columns).rename_axis("channel").reset_index()


def show_facts(frame: pd.DataFrame) -> None:
    """Show what is known of the versions, one column each."""
    st.dataframe(
        frame,
        hide_index=True,
        key="facts",
        height="content",
        column_config={"Fact": st.column_config.TextColumn(width="medium", pinned=True)},
    )


def show_contents(frame: pd.DataFrame) -> None:
    """Show what a payload holds."""
    st.table(frame.set_index("Part"))  # unlike a dataframe it wraps


def show_checks(checks: Sequence[Check]) -> None:
    """Show the sanity laws in green, red or grey, each with its number and its sentence."""
    outcomes = {
        True: ("green", "check_circle", "hold"),
        False: ("red", "cancel", "broken"),
        None: ("gray", "help", "not checked"),
    }
    counted = [(outcomes[ok], sum(check.ok is ok for check in checks)) for ok in outcomes]
    st.markdown(
        " ".join(
            f":{color}-badge[:material/{icon}: {count} {word}]"
            for (color, icon, word), count in counted
            if count
        )
    )
    rows = [
        (
            f":{color}[:material/{icon}:] {plain(check.name)}",
            np.nan if check.number is None else check.number,
            plain(check.expectation),
            plain(check.sentence),
        )
        for check in checks
        for color, icon, _ in [outcomes[check.ok]]
    ]
    frame = pd.DataFrame(rows, columns=["Law", "Found", "Expected", "In words"])
    # a table, since unlike a dataframe it wraps the sentences; styled, so that numbers align
    st.table(frame.set_index("Law").style.format(_number, subset=["Found"]))


def _number(value: Any) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:,.0f}" if value == round(value) else f"{value:.4g}"
