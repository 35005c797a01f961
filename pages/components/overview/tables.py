"""Tables of the Overview page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from analysis.language import N_, _
from analysis.read.checks import Check
from pages.components.shared.text import plain

OUTCOMES: dict[bool | None, tuple[str, str, str]] = {
    True: ("green", "check_circle", N_("hold")),
    False: ("red", "cancel", N_("broken")),
    None: ("gray", "help", N_("not possible")),
}
"""Colour, icon and word of what became of a sanity law."""

PROVENANCE = "provenance"
"""Of a table whose paths are cut into lines by the style of the frame."""


def show_facts(frame: pd.DataFrame) -> None:
    """Show what is known of the versions, one column each."""
    st.dataframe(
        frame,
        hide_index=True,
        key="facts",
        height="content",
        column_config={"Fact": st.column_config.TextColumn(_("Fact"), width="medium", pinned=True)},
    )


def show_differing(frame: pd.DataFrame) -> None:
    """Show the facts in which versions differ."""
    if frame.empty:
        st.caption(_("The versions differ in none of the facts that are recorded."))
    else:
        named = frame.set_index("Fact").rename_axis(_("Fact")).rename(columns=plain)
        with st.container(key=PROVENANCE):
            st.table(named.map(plain))


def show_contents(frame: pd.DataFrame) -> None:
    """Show what a payload holds."""
    st.table(frame.set_index(_("Part")))  # unlike a dataframe it wraps


def show_checks(checks: Sequence[Check]) -> None:
    """Show the sanity laws in green, red or grey, each with its number and its sentence."""
    rows = [
        (
            f":{color}[:material/{icon}:] {plain(_(check.name))}",
            np.nan if check.number is None else check.number,
            plain(check.expectation),
            plain(check.sentence),
        )
        for check in checks
        for color, icon, _unused in [OUTCOMES[check.ok]]
    ]
    frame = pd.DataFrame(rows, columns=[_("Law"), _("Found"), _("Expected"), _("In words")])
    # a table, since unlike a dataframe it wraps the sentences; styled, so that numbers align
    st.table(frame.set_index(_("Law")).style.format(_number, subset=[_("Found")]))


def _number(value: Any) -> str:
    if np.isnan(value):
        return "–"
    # a minus sign, since a line may end after a hyphen
    return (
        f"{value:,.0f}" if value == round(value) else f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
    )
