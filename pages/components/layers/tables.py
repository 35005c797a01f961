"""Tables of the Layers page."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from analysis.language import _, pgettext
from analysis.read.frames import AGGREGATE_LABELS, Aggregate
from analysis.show.figures.theme import role_label
from pages.components.shared.tables import NUMBER


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
            "version": text(_("Version")),
            "layer": number(_("Layer"), format="%d", width="small"),
            "representation": text(_("Representation")),
            "role": text(_("Tokens")),
            "tokens": number(_("Number of tokens"), format="localized", width="small"),
            **{
                aggregate.value: number(AGGREGATE_LABELS[aggregate], format=NUMBER)
                for aggregate in Aggregate
            },
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
            "layer": number(_("Layer"), format="%d", width="small"),
            "min": number(_("Smallest"), format=NUMBER, width="small"),
            "min_channel": number(_("in channel"), format="%d", width="small"),
            "max": number(_("Largest"), format=NUMBER, width="small"),
            "max_channel": number(_("in channel "), format="%d", width="small"),
            "channels_below": number(
                _("Below"), format="%d", width="small", help=_("Channels below the lower bound.")
            ),
            "channels_above": number(
                _("Above"), format="%d", width="small", help=_("Channels above the upper bound.")
            ),
        },
    )


def show_advice(frame: pd.DataFrame, measured: pd.DataFrame | None = None) -> None:
    """Show which norm each layer needs, with the facts, the reason and what probes say of it."""
    shown = pd.DataFrame(
        {
            _("Layer"): frame["layer"].astype(str),
            _("Tokens"): frame["role"].map(role_label),
            _("Advice"): frame["advice"].map(_),
            _("Because"): frame["reason"],
            pgettext("share", "Outliers"): frame["outlier_share"],
            _("Suppression"): frame["suppression"],
            _("|mean| / std"): frame["mean_over_std"],
        }
    )
    if measured is not None:
        shown.insert(
            3, _("Probes"), [describe_verdict(row) for _unused, row in measured.iterrows()]
        )
    # a table, since unlike a dataframe it wraps the reasons; styled, so that numbers align
    styled = shown.set_index(_("Layer")).style.format(
        {
            pgettext("share", "Outliers"): "{:.2%}",
            _("Suppression"): "{:,.4g}×",
            _("|mean| / std"): "{:.2f}",
        },
        na_rep="–",
    )
    st.table(styled)


def describe_verdict(row: pd.Series) -> str:
    """Return what the probes say of one advice, with the scores where they decide."""
    if pd.isna(row["score"]) or not row["best"]:
        return _(row["verdict"])
    if row["best"] == row["advice"]:
        return _("{verdict}: {score:.2f}, the best").format(
            verdict=_(row["verdict"]), score=row["score"]
        )
    return f"{_(row['verdict'])}: {row['score']:.2f}, {_(row['best'])} {row['best_score']:.2f}"
