"""Differences beside their noise: channels that exceed it, and how many there are per layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import _
from analysis.show.figures import axes, theme
from analysis.show.figures.cloud import draw_channels, draw_ranges
from analysis.show.figures.depth import draw_cells
from analysis.show.figures.theme import Mode
from analysis.vocabulary import REPRESENTATIONS, ROLES, Representation, TokenRole

SMALLEST_RANGE = 0.01
EFFECT_ROWS = 26
"""Room for the two panels of `build_channel_effects`, in lines of text."""

_LOUD = {"symbol": "circle", "size": 7}
_QUIET = {"symbol": "circle-open", "size": 5}
_HEIGHT = 0.42
"""Of a panel, as a share of the figure; between the two stands the legend of the lower one."""


@dataclass(frozen=True)
class ChannelEffect:
    """One difference of every channel between two versions."""

    value: NDArray[np.floating]
    """``[channels]``: version minus baseline; NaN where it is not known."""
    error: NDArray[np.floating]
    """``[channels]``: standard error; NaN where there is no noise to compare with."""
    flagged: NDArray[np.bool_]
    """``[channels]``: beyond the noise."""
    label: str
    """What the values are, with unit."""

    @property
    def size(self) -> NDArray[np.floating]:
        """``[channels]``: freed of what chance adds on average; NaN where that is not known."""
        return np.sqrt(np.maximum(self.value**2 - self.error**2, 0))


def build_channel_effects(
    shift: ChannelEffect,
    ratio: ChannelEffect,
    *,
    representation: Representation,
    negligible: float = 0.0,
    mode: Mode = "light",
) -> go.Figure:
    """Draw two differences of every channel, one above the other over the same channels.

    Colour follows size, marks follow significance: grey is negligible or not tested; what exceeds
    the noise is large and filled. Of many channels that do not, the range is drawn.

    Args:
        shift: Drawn above.
        ratio: Drawn below.
        representation: Of what; the colour.
        negligible: Sizes below it are grey.
        mode: Light or dark.
    """
    if not (np.isfinite(shift.value).any() or np.isfinite(ratio.value).any()):
        return theme.empty_figure(_("There is no difference to draw."), mode)
    color, grey = theme.representation_color(representation, mode), theme.muted_color(mode)
    layout: dict[str, object] = {
        "xaxis": {"anchor": "y", "matches": "x2", "showticklabels": False},
        "xaxis2": {"anchor": "y2", "title": {"text": _("channel")}, "tickformat": "d"},
        "yaxis": _effect_axis(shift, mode) | {"domain": [1 - _HEIGHT, 1]},
        "yaxis2": _effect_axis(ratio, mode) | {"domain": [0, _HEIGHT], "anchor": "x2"},
        "legend2": {"orientation": "h", "yanchor": "bottom", "y": _HEIGHT + 0.02, "x": 0},
        "uirevision": f"effects-{representation}",
    }
    above = {"xaxis": "x", "yaxis": "y", "legend": "legend"}
    below = {"xaxis": "x2", "yaxis": "y2", "legend": "legend2"}
    effects = (shift, above), (ratio, below)
    points = theme.point_type(sum(int(effect.flagged.sum()) for effect, _unused in effects))
    many = 2 * len(shift.value) > theme.MAX_SVG_POINTS
    traces = [
        trace | look | place
        for loud in (False, True)  # what exceeds the noise lies over the rest, colour over grey
        for large in (False, True)
        for effect, place in effects
        for trace in _draw_effect(effect, loud, large, negligible, color if large else grey)
        for look in [
            {"type": points} if loud else draw_ranges(trace, len(effect.value)) if many else {}
        ]
    ]
    return theme.make_figure(traces, layout, mode)


def _draw_effect(
    effect: ChannelEffect, loud: bool, large: bool, negligible: float, color: str
) -> list[dict[str, Any]]:
    """Return the marks of one significance and size; none where there is no such channel."""
    drawn = np.isfinite(effect.value)
    tested = bool(np.isfinite(effect.error).any())
    chosen = np.flatnonzero(
        drawn & (effect.flagged == loud) & ((effect.size >= negligible) == large)
    )
    if not (len(chosen) or (tested and drawn.any() and loud and large)):
        return []
    names = {
        (True, True): _("beyond the noise"),
        (True, False): _("beyond the noise, negligible"),
        (False, True): _("within the noise"),
        (False, False): _("within the noise, negligible"),
    }
    name = names[loud, large] if tested else _("not tested")
    points = draw_channels(
        *(np.arange(len(effect.value)), effect.value, [effect.value, effect.error]),
        "%{customdata[1]:.3g} ± %{customdata[2]:.2g}",
        name=f"{name} ({len(chosen):,})",
        marker={"color": color, **(_LOUD if loud else _QUIET)},
        chosen=chosen,
    )
    return [points | {"type": "scatter", "showlegend": True}]


def _effect_axis(effect: ChannelEffect, mode: Mode) -> dict[str, object]:
    axis: dict[str, object] = {
        "title": {"text": effect.label},
        "tickformat": "~g",
        "zeroline": True,
        "zerolinecolor": theme.muted_color(mode),
    }
    known = np.abs(effect.value[np.isfinite(effect.value)])
    if len(known) and known.max() < SMALLEST_RANGE:  # rounding is not to look like a difference
        axis["range"] = [-SMALLEST_RANGE, SMALLEST_RANGE]
    return axis


def build_flagged_curves(
    layers: NDArray[np.integer],
    share: NDArray[np.floating],
    *,
    representations: Sequence[Representation] = REPRESENTATIONS,
    roles: Sequence[TokenRole] = ROLES,
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
        return theme.empty_figure(_("Nothing was tested against noise."), mode)
    title = axes.label_with_unit(_("channels beyond the noise"), _("% of all channels"))
    return draw_cells(
        layers,
        100 * share,
        representations=representations,
        roles=roles,
        height={"title": {"text": title}, "rangemode": "tozero"},
        revision="flagged",
        mode=mode,
    )
