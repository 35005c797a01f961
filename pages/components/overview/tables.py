"""Tables of the Overview page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from analysis.read.checks import Check
from pages.components.shared.text import plain


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
