"""Every channel's shift and change of spread, coloured only where it exceeds the noise."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from analysis.comparison.noise import CellNoise, Effect
from analysis.figures.axes import label_with_unit
from analysis.figures.noise import build_channel_effects
from analysis.vocabulary import Representation, TokenRole
from pages.components import channel_links, differences, downloads
from pages.components.picker import Version


def show(
    a: Version, b: Version, layer: int, representation: Representation, role: TokenRole
) -> None:
    """Show both effects side by side, or say why they cannot be judged."""
    cell = differences.examine_channels(a, b, layer, representation, role)
    shift = "shift of the mean", "B − A, in standard deviations"
    ratio = "log ratio of the std", "log(B / A)"
    picked = None
    for column, name, label, effect in zip(
        st.columns(2),
        ("shift", "log ratio of std"),
        (shift, ratio),
        (cell.shift, cell.log_ratio),
        strict=True,
    ):
        with column:
            clicked = downloads.show_figure(
                build_channel_effects(
                    effect.value,
                    effect.error,
                    effect.flagged,
                    representation=representation,
                    value_label=label_with_unit(*label),
                    mode=downloads.mode(),
                ),
                name,
                partial(_tabulate, effect),
                clickable=True,
            )
            picked = clicked if picked is None else picked
    st.caption(_explain(cell))
    channel_links.follow(picked)


def _tabulate(effect: Effect) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "channel": np.arange(len(effect.value), dtype=np.int32),
            "difference": effect.value,
            "standard error": effect.error,
            "p": effect.p,
            "beyond noise": effect.flagged,
        }
    )


def _explain(cell: CellNoise) -> str:
    if cell.note:
        return cell.note
    return (
        f"{int(cell.flagged.sum())} of {len(cell.flagged)} channels differ in mean or spread by "
        "more than noise; of those on average at most 1 % are there by chance. max |x| is ranked "
        "below, never tested."
    )
