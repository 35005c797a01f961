"""What a payload says about its own making."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import _
from analysis.show.figures import axes, theme
from analysis.show.figures.depth import draw_over_depth
from analysis.show.figures.theme import Mode
from analysis.vocabulary import Representation


def build_lora_proof(
    layers: NDArray[np.integer],
    changes: NDArray[np.floating],
    *,
    tapped: Sequence[int] = (),
    mode: Mode = "light",
) -> go.Figure:
    """Draw how much the adapter changes each layer's output.

    Args:
        layers: ``[layers]``.
        changes: ``[layers]``: relative change of the output on a few images, adapter on against
            off; empty where it was not measured.
        tapped: Layers to mark.
        mode: Light or dark.
    """
    if not len(changes):
        return theme.empty_figure(_("The effect of an adapter was not measured here."), mode)
    bars = {
        "type": "bar",
        "x": layers.astype(np.int32),
        "y": theme.as_float32(changes * 100.0),
        "marker": {"color": theme.representation_color(Representation.PRE, mode)},
        "hovertemplate": _("layer %{x:d}: %{y:.3g}%<extra></extra>"),
        "showlegend": False,
    }
    return draw_over_depth(
        [],
        below=[bars],
        height={"title": {"text": _("change of the block output (%)")}, "rangemode": "tozero"},
        tapped=tapped,
        revision="lora-proof",
        layout=axes.BY_POINT,
        mode=mode,
    )
