"""Tables of the Outliers page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from analysis.language import N_, Texts, _
from analysis.payload.table import StatsTable
from analysis.read.outliers import SCORE_HELP, SCORE_LABELS, Score
from analysis.read.role_overlap import RoleOverlap
from analysis.show.figures.theme import role_label
from analysis.vocabulary import Representation, Statistic, TokenRole
from pages.components.shared.tables import (
    MEAN_HELP,
    NUMBER,
    STD_HELP,
    TIMES,
    choose_format,
    read_row,
)

MARKS = Texts({"outlier": N_("outlier"), "massive": N_("massive"), "constant": N_("constant")})


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
    flags = [
        _(", ").join(label for word, label in MARKS.items() if word in words.split(", "))
        for words in frame["flags"]
    ]
    shown = frame.assign(course=list(course), flags=flags)
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
            "rank": number(_("Rank"), width="small"),
            "channel": number(_("Channel"), format="%d", width="small"),
            "score": number(SCORE_LABELS[score], format=NUMBER, help=SCORE_HELP[score]),
            "max_abs": number(
                _("max |x|"),
                format=choose_format(frame["max_abs"]),
                help=_("Largest absolute value."),
            ),
            "times_median": number(
                _("× median"), format=TIMES, help=SCORE_HELP[Score.TIMES_MEDIAN], width="small"
            ),
            "mean": number(_("mean"), format=NUMBER, help=_(MEAN_HELP)),
            "std": number(_("std"), format=NUMBER, help=_(STD_HELP)),
            "flags": st.column_config.TextColumn(
                _("Marks"),
                help=_(
                    "outlier: by the score that is ranked by; massive: above 100 and "
                    "above 1000 times the typical activation; constant: the same on "
                    "all tokens."
                ),
            ),
            "fp16_headroom": number(
                _("fp16 headroom"),
                format="%.3g×",
                help=_("By what factor the channel could grow before fp16 overflows at 65,504."),
            ),
            "int8_levels": number(
                _("int8 levels left"),
                format="%.0f",
                help=_("Of 255, what the median channel keeps if one scale has to cover this one."),
            ),
            "course": st.column_config.LineChartColumn(
                _("max |x| over depth"), help=_("First to last layer; each row on its own scale.")
            ),
        },
    )
    return read_row(event, frame)


def show_role_overlap(overlap: RoleOverlap) -> int | None:
    """Show which channels are outliers in which roles; return the selected row's channel."""
    number = st.column_config.NumberColumn
    frame = overlap.frame
    roles = list(overlap.outliers)
    channels = frame["channel"].to_numpy()
    marks = np.stack([overlap.outliers[role][channels] for role in roles], axis=1)
    labels = np.array([role_label(role) for role in roles])
    where = [_("all") if row.all() else _(", ").join(labels[row]) for row in marks]
    event = st.dataframe(
        frame.assign(where=where),
        hide_index=True,
        key="role overlap",
        on_select="rerun",
        selection_mode="single-row",
        column_order=["channel", "where", *roles],
        column_config={
            "channel": number(_("Channel"), format="%d", width="small"),
            "where": st.column_config.TextColumn(
                _("Outlier in"),
                help=_("The kinds of tokens among whose channels it is an outlier."),
            ),
            **{
                role: number(
                    _("max |x|, {label}").format(label=label),
                    format=NUMBER,
                    help=_("Largest absolute value over all {label} tokens.").format(label=label),
                )
                for role, label in zip(roles, labels, strict=True)
            },
        },
    )
    return read_row(event, frame)


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
            "channel": number(_("Channel"), format="%d"),
            "layers_in_top": st.column_config.ProgressColumn(
                _("Layers in the top"),
                format="%d",
                min_value=0,
                max_value=num_layers,
                help=_("In how many layers it is among the listed top."),
            ),
            "layers_outlier": st.column_config.ProgressColumn(
                _("Layers as an outlier"),
                format="%d",
                min_value=0,
                max_value=num_layers,
                help=_("In how many layers its score reaches the threshold."),
            ),
            "share": None,
            "emergence_layer": number(
                _("Emerges at"), format="%d", help=_("Where its longest run as an outlier begins.")
            ),
            "last_layer": number(_("Last at"), format="%d", help=_("Last layer as an outlier.")),
            "peak_layer": number(_("Peak at"), format="%d", help=_("Where max |x| is largest.")),
            "peak": number(
                _("Peak max |x|"),
                format=choose_format(frame["peak"]),
                help=_("Its largest max |x| of any layer."),
            ),
        },
    )
    return read_row(event, frame)
