"""Differences beside their noise: channels that exceed it, and how many there are per layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.figures import axes, theme
from analysis.figures.theme import Mode
from analysis.figures.versions import build_depth_lines
from analysis.vocabulary import Representation, TokenRole

SMALLEST_RANGE = 0.01


def build_channel_effects(
    value: NDArray[np.floating],
    error: NDArray[np.floating],
    flagged: NDArray[np.bool_],
    *,
    representation: Representation,
    value_label: str,
    mode: Mode = "light",
) -> go.Figure:
    """Draw the difference of every channel; colour has only what exceeds the noise.

    Args:
        value: ``[channels]``: B - A.
        error: ``[channels]``: standard error; NaN where there is no noise to compare with.
        flagged: ``[channels]``: beyond the noise.
        representation: Of what; the colour.
        value_label: What the values are, with unit.
        mode: Light or dark.
    """
    drawn = np.isfinite(value)
    if not drawn.any():
        return theme.empty_figure("There is no difference to draw.", mode)
    channels = np.arange(len(value), dtype=np.int32)
    facts = np.column_stack([channels, value, error]).astype(np.float32)
    tested = bool(np.isfinite(error).any())
    quiet, loud = np.flatnonzero(drawn & ~flagged), np.flatnonzero(drawn & flagged)
    named = "within the noise" if tested else "not tested"
    figure = go.Figure()
    for name, chosen, color, size in (
        (f"{named} ({len(quiet)})", quiet, theme.muted_color(mode), 4),
        (
            f"beyond the noise ({len(loud)})",
            loud,
            theme.representation_color(representation, mode),
            7,
        ),
    ):
        if len(chosen) or tested:
            figure.add_trace(
                go.Scattergl(
                    x=channels[chosen],
                    y=theme.as_float32(value[chosen]),
                    customdata=facts[chosen],
                    mode="markers",
                    name=name,
                    marker={"color": color, "size": size},
                    hovertemplate="channel %{customdata[0]:d}: %{customdata[1]:.3g} ± "
                    "%{customdata[2]:.2g}<extra></extra>",
                )
            )
    figure.update_layout(
        xaxis={"title": {"text": "channel"}, "tickformat": "d"},
        yaxis={
            "title": {"text": value_label},
            "tickformat": "~g",
            "zeroline": True,
            "zerolinecolor": theme.muted_color(mode),
        },
        hovermode="closest",
        uirevision=f"effects-{value_label}",
    )
    largest = float(np.abs(value[drawn]).max())
    if largest < SMALLEST_RANGE:  # rounding is not to look like a difference
        figure.update_yaxes(range=[-SMALLEST_RANGE, SMALLEST_RANGE])
    return theme.apply_theme(figure, mode)


def build_flagged_curves(
    layers: NDArray[np.integer],
    share: NDArray[np.floating],
    *,
    representations: Sequence[Representation] = tuple(Representation),
    roles: Sequence[TokenRole] = tuple(TokenRole),
    mode: Mode = "light",
) -> go.Figure:
    """Draw against depth how many channels differ by more than noise.

    Args:
        layers: ``[layers]``.
        share: ``[layers, 3, 2]``, of all channels, 0 to 1; NaN where nothing was tested.
        representations: Which to draw.
        roles: Which to draw.
        mode: Light or dark.
    """
    if not np.isfinite(share).any():
        return theme.empty_figure("Nothing was tested against noise.", mode)
    return build_depth_lines(
        layers,
        100 * share,
        representations,
        roles,
        title=axes.label_with_unit("channels beyond the noise", "% of all channels"),
        revision="flagged",
        mode=mode,
    )
