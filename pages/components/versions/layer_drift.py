"""How far each layer moved, beside what chance alone gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from analysis.read.compare.noise_table import NoiseTable
from analysis.read.frames import tabulate_cells
from analysis.show.figures.noise import build_flagged_curves
from analysis.show.figures.versions import build_drift_curves
from analysis.vocabulary import Representation, TokenRole
from pages.components.shared import downloads


def show(
    layers: NDArray[np.int64],
    drift: NDArray[np.float64],
    noise: NoiseTable,
    channels: int,
    representations: Sequence[Representation],
    roles: Sequence[TokenRole],
) -> None:
    """Show drift and noise floor, and how many channels exceed it."""
    tested = ~np.isnan(noise.noise_floor)
    left, right = st.columns(2) if tested.any() else (st.container(), None)
    with left:
        downloads.show_figure(
            build_drift_curves(
                layers,
                drift,
                representations=representations,
                roles=roles,
                noise=noise.noise_floor,
                beyond=noise.beyond if tested.any() else None,
                mode=downloads.mode(),
            ),
            "drift",
            lambda: tabulate_cells(layers, drift, "drift").assign(
                noise_floor=noise.noise_floor.ravel(),
                p=noise.drift_p.ravel(),
                beyond_noise=noise.beyond.ravel(),
            ),
        )
    if right is not None:
        share = np.where(tested, noise.flagged_channels / channels, np.nan)
        with right:
            downloads.show_figure(
                build_flagged_curves(
                    layers,
                    share,
                    representations=representations,
                    roles=roles,
                    mode=downloads.mode(),
                ),
                "channels beyond the noise",
                lambda: tabulate_cells(layers, share, "share"),
            )
    st.caption(
        "Drift: root mean square over channels of how far mean and standard deviation moved, in "
        "units of the channel's own standard deviation. " + _explain(noise)
    )


def _explain(noise: NoiseTable) -> str:
    notes = " ".join(noise.notes)
    if np.isnan(noise.noise_floor).all():
        return f"How much of it is noise is not told here. {notes}"
    how = (
        "the same images in both, compared group by group"
        if noise.paired
        else "different images, so that each version's own image groups say how much chance gives"
    )
    return (
        f"Thin lines: what chance alone gives, from eight image groups ({how}). Hollow marks do "
        f"not exceed it. {notes}"
    )
