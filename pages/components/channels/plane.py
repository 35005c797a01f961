"""All channels of a layer as points: mean against std, or one representation against another."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from analysis.read.frames import channel_frame, tabulate_pair
from analysis.read.spread import correlate_pair, correlate_ranks
from analysis.show.figures import channels as figures
from analysis.show.figures.theme import REPRESENTATION_LABELS, describe_unit
from analysis.vocabulary import (
    Representation,
    Statistic,
    TokenRole,
)
from pages.components.shared import channel_links, downloads, selection
from pages.components.shared.version import Version

_MEAN_STD = "mean-std"
PAIRS = {f"{a}-{b}": (a, b) for a, b in combinations(Representation, 2)}


def show(
    version: Version,
    layer: int,
    representation: Representation,
    role: TokenRole,
    statistic: Statistic,
    channel: int,
) -> None:
    """Show the plane that is chosen; a click on a point turns to its channel."""
    table = version.table
    choice = selection.choose(
        "plane",
        "Every channel by",
        [_MEAN_STD, *PAIRS],
        default=_MEAN_STD,
        format_func=_label,
        help="Mean and std of the representation that is looked at, or a statistic in two "
        "representations: who is held down or lifted leaves the line of the others.",
    )
    layer_values = table.values[table.position(layer), :, role.position]
    if choice == _MEAN_STD:
        cell = layer_values[representation.position]
        clicked = downloads.show_figure(
            figures.build_mean_std_scatter(
                cell, channel=channel, unit=describe_unit(representation), mode=downloads.mode()
            ),
            "mean and std",
            lambda: channel_frame(table, layer, representation, role),
            clickable=True,
        )
        said = [f"{a} and {b} {found:.2f}" for (a, b), found in correlate_ranks(cell).items()]
    else:
        pair = PAIRS[choice]
        x, y = (np.abs(layer_values[each.position, statistic.position]) for each in pair)
        clicked = downloads.show_figure(
            figures.build_pair_scatter(
                (x, y), pair, statistic=statistic, channel=channel, mode=downloads.mode()
            ),
            choice,
            lambda: tabulate_pair((x, y), pair),
            clickable=True,
        )
        said = _tell(x, y, pair)
    if said:
        st.caption(f"Rank correlation over channels: {', '.join(said)}.")
    channel_links.turn_to(clicked, choice)


def _label(choice: str) -> str:
    if choice == _MEAN_STD:
        return "mean × std"
    return " × ".join(REPRESENTATION_LABELS[each] for each in PAIRS[choice])


def _tell(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    pair: tuple[Representation, Representation],
) -> list[str]:
    found = correlate_pair(x, y)
    first, second = (REPRESENTATION_LABELS[each] for each in pair)
    return [] if found is None else [f"{first} and {second} {found:.2f}"]
