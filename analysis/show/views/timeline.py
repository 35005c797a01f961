"""Three or more versions in a row: how far each is from the first, and what their channels did."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.language import N_, _
from analysis.show.figures import theme
from analysis.show.figures import timeline as figures
from analysis.show.figures.theme import Mode
from analysis.show.view import View
from analysis.show.views import sentences
from analysis.vocabulary import Cell, Representation, TokenRole

Floats = NDArray[np.floating]

FOLLOWED = "channels from version to version"
"""Name of the view of what single channels did."""

NOISE_CAPTION = N_("Thin lines: what chance alone stays below in 95% of cases, by image groups.")


def drift_in_a_row(
    layers: NDArray[np.integer],
    found: Floats,
    cell: tuple[Representation, TokenRole],
    names: Sequence[str],
    slots: Sequence[int],
    *,
    noise: Floats | None = None,
    mode: Mode = "light",
) -> View:
    """Return how far every layer of each later version is from the first version.

    Args:
        layers: ``[layers]``.
        found: ``[versions, layers, 3, 2]``.
        cell: Representation and role to draw.
        names: The versions in order.
        slots: Their colours.
        noise: ``[versions, layers]``: what chance alone gives in this cell; NaN where unknown.
        mode: Light or dark.
    """
    representation, role = cell
    drawn = found[:, :, representation.position, role.position]
    frame = pd.DataFrame(drawn.T, columns=list(names), index=pd.Index(layers, name="layer"))
    return View(
        _("Drift from {names_1}, {cell} tokens").format(
            names_1=names[0], cell=theme.describe_cell(*cell)
        ),
        "drift from the first",
        figures.build_drift_timeline(layers, drawn, names, slots=slots, noise=noise, mode=mode),
        frame.reset_index(),
        sentence=sentences.name_largest(_("drift"), layers, list(zip(names, drawn, strict=True))),
        caption=_(NOISE_CAPTION) if noise is not None and not np.isnan(noise).all() else "",
        about=_(", ").join(names),
        columns={"baseline": names[0]},
    )


def channels_in_a_row(
    values: Floats,
    channels: Sequence[int],
    cell: Cell,
    names: Sequence[str],
    mode: Mode = "light",
) -> View:
    """Return the size of some channels from version to version.

    Args:
        values: ``[versions, channels]``: max |x| of all channels.
        channels: Which to draw.
        cell: Where they are.
        names: The versions in order.
        mode: Light or dark.
    """
    drawn = values[:, list(channels)]
    frame = pd.DataFrame(drawn.T, columns=list(names), index=pd.Index(channels, name="channel"))
    label = _("max |x|, {channels}").format(channels=theme.describe_channels(cell))
    return View(
        _("Channels from version to version, {channels}").format(
            channels=theme.describe_channels(cell)
        ),
        FOLLOWED,
        figures.build_channel_timeline(drawn, channels, names, value_label=label, mode=mode),
        frame.reset_index(),
        about=_(", ").join(names),
    )
