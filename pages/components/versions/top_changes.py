"""How large channels are in two versions: the top ones side by side, or all of them."""

from __future__ import annotations

from enum import StrEnum

import pandas as pd
import streamlit as st

from analysis.read.compare.top_channels import TopComparison
from analysis.show.figures import versions as figures
from analysis.show.figures.theme import REPRESENTATION_LABELS, ROLE_LABELS
from analysis.vocabulary import Representation, Statistic, TokenRole
from pages.components.shared import channel_links, downloads, selection
from pages.components.shared.version import Version


class Drawn(StrEnum):
    """Which channels are drawn."""

    TOP = "top"
    EVERY = "every"


LABELS = {Drawn.TOP: "Only these", Drawn.EVERY: "Among all channels"}


def show(
    top: TopComparison,
    a: Version,
    b: Version,
    layer: int,
    representation: Representation,
    role: TokenRole,
) -> None:
    """Show the top channels of either version, from the one to the other."""
    drawn = selection.choose(
        "drawn",
        "Draw the top channels",
        list(Drawn),
        default=Drawn.TOP,
        format_func=LABELS.__getitem__,
    )
    names, mode = (a.name, b.name), downloads.mode()
    if drawn is Drawn.TOP:
        where = f"layer {layer}, {REPRESENTATION_LABELS[representation]}, {ROLE_LABELS[role]}"
        downloads.show_figure(
            figures.build_top_changes(
                top.frame, names=names, value_label=f"max |x|, {where} tokens", mode=mode
            ),
            "top channels",
            top.frame,
            rows=len(top.frame),
        )
        return
    sizes_a, sizes_b = (
        version.table.get(layer, representation, role, Statistic.MAX_ABS) for version in (a, b)
    )
    clicked = downloads.show_figure(
        figures.build_channel_comparison(
            sizes_a,
            sizes_b,
            names=names,
            value_label="max |x|",
            status={
                str(status): group["channel"].to_numpy()
                for status, group in top.frame.groupby("status")
            },
            mode=mode,
        ),
        "every channel",
        lambda: (
            pd.DataFrame({names[0]: sizes_a, names[1]: sizes_b})
            .rename_axis("channel")
            .reset_index()
        ),
        clickable=True,
    )
    st.caption("Click a channel to follow it through the layers on the Channels page.")
    channel_links.follow(clicked)
