"""Tables of the Channels page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from analysis.language import _
from pages.components.shared.tables import MEAN_HELP, NUMBER, STD_HELP, choose_format, read_row


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
            "rank": number(_("Rank"), format="%d", width="small", help=_("By max |x|, from 1.")),
            "channel": number(_("Channel"), format="%d", width="small"),
            "mean": number(_("mean"), format=NUMBER, help=_(MEAN_HELP)),
            "std": number(_("std"), format=NUMBER, help=_(STD_HELP)),
            "max_abs": number(
                _("max |x|"),
                format=choose_format(frame["max_abs"]),
                help=_("Largest absolute value."),
            ),
            "here": st.column_config.TextColumn("", width="small"),
        },
    )
    return read_row(event, frame)


def show_spread(frame: pd.DataFrame, channel: int) -> None:
    """Show how each statistic is spread over channels, and where one channel stands."""
    number = st.column_config.NumberColumn
    st.dataframe(
        frame.assign(statistic=frame["statistic"].map(_)),
        hide_index=True,
        key="spread",
        column_order=[
            *("statistic", "here", "rank"),
            *("smallest", "median", "average", "p99", "largest", "deviation"),
        ],
        column_config={
            "statistic": st.column_config.TextColumn(_("Over channels")),
            "smallest": number(_("smallest"), format=NUMBER),
            "median": number(_("median"), format=NUMBER),
            "average": number(_("average"), format=NUMBER),
            "p99": number("p99", format=NUMBER, help=_("99% of the channels are below it.")),
            "largest": number(_("largest"), format=NUMBER),
            "deviation": number(
                _("spread"), format=NUMBER, help=_("Standard deviation over channels.")
            ),
            "here": number(_("channel {channel}").format(channel=channel), format=NUMBER),
            "rank": number(_("its rank"), format="%d", help=_("1 is the largest of all channels.")),
        },
    )
