"""Every channel's shift and change of spread, coloured only where it exceeds the noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from analysis.read.compare.noise import CellNoise, Effect
from analysis.show.figures.noise import (
    EFFECT_ROWS,
    RATIO_LABEL,
    SHIFT_LABEL,
    ChannelEffect,
    build_channel_effects,
)
from analysis.vocabulary import Cell
from pages.components.shared import channel_links, downloads
from pages.components.shared.version import Version
from pages.components.versions import differences


def show(a: Version, b: Version, cell: Cell) -> None:
    """Show both effects over the same channels, or say why they cannot be judged."""
    noise = differences.examine_channels(a, b, cell)
    picked = downloads.show_figure(
        build_channel_effects(
            _label(noise.shift, SHIFT_LABEL),
            _label(noise.log_ratio, RATIO_LABEL),
            representation=cell.representation,
            mode=downloads.mode(),
        ),
        "channel effects",
        lambda: _tabulate(noise),
        rows=EFFECT_ROWS,
        clickable=True,
    )
    st.caption(_explain(noise))
    channel_links.follow(picked)


def _label(effect: Effect, label: str) -> ChannelEffect:
    return ChannelEffect(effect.value, effect.error, effect.flagged, label)


def _tabulate(cell: CellNoise) -> pd.DataFrame:
    frame = pd.DataFrame({"channel": np.arange(len(cell.flagged), dtype=np.int32)})
    for name, effect in (("shift", cell.shift), ("log ratio of std", cell.log_ratio)):
        frame[name] = effect.value
        frame[f"{name}, standard error"] = effect.error
        frame[f"{name}, p"] = effect.p
        frame[f"{name}, beyond noise"] = effect.flagged
    return frame


def _explain(cell: CellNoise) -> str:
    if cell.note:
        return cell.note
    return (
        f"{int(cell.flagged.sum())} of {len(cell.flagged)} channels differ in mean or spread by "
        "more than noise; of those on average at most 1 % are there by chance. max |x| is ranked "
        "below, never tested."
    )
