"""Tables of the Channels page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from pages.components.shared.tables import MEAN_HELP, NUMBER, STD_HELP, read_row


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
            "mean": number("mean", format=NUMBER, help=MEAN_HELP),
            "std": number("std", format=NUMBER, help=STD_HELP),
            "max_abs": number("max |x|", format=NUMBER, help="Largest absolute value."),
            "here": st.column_config.TextColumn("", width="small"),
        },
    )
    return read_row(event, frame)


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
            "smallest": number("smallest", format=NUMBER),
            "median": number("median", format=NUMBER),
            "average": number("average", format=NUMBER),
            "p99": number("p99", format=NUMBER, help="99 % of the channels are below it."),
            "largest": number("largest", format=NUMBER),
            "deviation": number("spread", format=NUMBER, help="Standard deviation over channels."),
            "here": number(f"channel {channel}", format=NUMBER),
            "rank": number("its rank", format="%d", help="1 is the largest of all channels."),
        },
    )
