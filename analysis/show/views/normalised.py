"""What is left to compare between different backbones: normalised outputs, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.language import _
from analysis.payload.table import StatsTable
from analysis.read.frames import Aggregate, aggregate_channels, layer_frame
from analysis.show.figures.layers import DepthCurve, build_depth_curves
from analysis.show.figures.theme import Mode
from analysis.show.view import View, describe_pair
from analysis.vocabulary import Representation, Statistic, TokenRole

NORMALISED = (Representation.PER_LAYER_LN, Representation.GLOBAL_LN)


def normalised_layers(
    tables: tuple[StatsTable, StatsTable],
    names: tuple[str, str],
    statistic: Statistic,
    aggregate: Aggregate,
    roles: Sequence[TokenRole],
    mode: Mode = "light",
) -> View:
    """Return both versions' layers after a LayerNorm, aggregated over channels.

    Args:
        tables: Baseline and version; of any two backbones.
        names: Theirs.
        statistic: What is aggregated.
        aggregate: How.
        roles: Which tokens.
        mode: Light or dark.
    """
    curves = []
    for table, name in zip(tables, names, strict=True):
        values = aggregate_channels(table, statistic, aggregate)
        for representation in NORMALISED:
            for role in roles:
                line = values[:, representation.position, role.position]
                curves.append(DepthCurve(table.layers, line, representation, role, name))

    def tabulate() -> pd.DataFrame:
        frames = [
            layer_frame(table, statistic).assign(version=name)
            for table, name in zip(tables, names, strict=True)
        ]
        frame = pd.concat(frames)
        return frame[frame["representation"] != str(Representation.PRE)]

    return View(
        _("Normalised layers"),
        "normalised layers",
        build_depth_curves(curves, statistic=statistic, aggregate=aggregate.value, mode=mode),
        tabulate,
        about=describe_pair(*names)["about"],
    )
