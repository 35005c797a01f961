"""A network of one layer is drawn by every figure over depth: as marks, since a line of one point
cannot be seen, and with both axes named."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from analysis.read.interventions import Curve
from analysis.show import figures
from analysis.show.figures import (
    channels,
    interventions,
    layer_views,
    layers,
    maps,
    noise,
    outliers,
    overview,
    timeline,
    versions,
)
from analysis.vocabulary import Representation, Statistic, TokenRole
from tests.show.figures.reading import layout, title, traces

LAYERS = np.array([7])
CELLS = [(Representation.PRE, TokenRole.PATCH)]
EDGES = np.array([1.0, 10.0])
CUBE = np.full((1, 3, 2), 0.5)
ONE = np.array([[2.0]])

OVER_DEPTH: dict[str, Callable[[], go.Figure]] = {
    "build_channel_depth": lambda: channels.build_channel_depth(
        LAYERS, ONE, CELLS, statistic=Statistic.STD
    ),
    "build_rank_curves": lambda: channels.build_rank_curves(
        LAYERS, np.array([[3]]), CELLS, channels=9
    ),
    "build_channel_marks": lambda: outliers.build_channel_marks(
        ONE, np.array([5]), LAYERS, value_label="x"
    ),
    "build_channel_lines": lambda: outliers.build_channel_lines(
        ONE, np.array([5]), LAYERS, value_label="x"
    ),
    "build_outlier_counts": lambda: outliers.build_outlier_counts(
        LAYERS, np.ones((1, 3, 2), dtype=int), channels=9
    ),
    "build_effect_curves": lambda: interventions.build_effect_curves(
        [(TokenRole.PATCH, Curve(LAYERS, ONE[0], ONE))], label="change"
    ),
    "build_flagged_curves": lambda: noise.build_flagged_curves(LAYERS, CUBE),
    "build_drift_timeline": lambda: timeline.build_drift_timeline(
        LAYERS, np.array([[0.0], [0.1]]), ["a", "b"]
    ),
    "build_drift_curves": lambda: versions.build_drift_curves(LAYERS, CUBE, noise=CUBE / 2),
    "build_jaccard_curves": lambda: versions.build_jaccard_curves(LAYERS, CUBE, k=5),
    "build_prefix_curves": lambda: maps.build_prefix_curves(
        [np.ones((1, 5))], ["a"], LAYERS, value_label="x"
    ),
    "build_top_curves": lambda: layer_views.build_top_curves(LAYERS, np.array([[9.0, 8, 7, 1]])),
    "build_norm_map": lambda: layer_views.build_norm_map(
        LAYERS, np.array([[0, 5, 0]]), EDGES, np.array([[1.0, 2, 3]]), unit="unit"
    ),
    "build_range_curves": lambda: layer_views.build_range_curves(
        LAYERS,
        np.array([-1.0]),
        np.array([1.0]),
        bounds=(-9, 9),
        representation=Representation.PRE,
        role="cls",
    ),
    "build_suppression_curve": lambda: layer_views.build_suppression_curve(
        LAYERS, np.array([[2.0, 3.0]])
    ),
    "build_depth_curves": lambda: layers.build_depth_curves(
        [layers.DepthCurve(LAYERS, ONE[0], *CELLS[0], "v1")],
        statistic=Statistic.STD,
        aggregate="median",
    ),
    "build_lora_proof": lambda: overview.build_lora_proof(LAYERS, np.array([0.1])),
}
NOT_OVER_DEPTH = {
    "build_channel_comparison",
    "build_channel_effects",
    "build_channel_scatter",
    "build_channel_timeline",
    "build_exceedance_scatter",
    "build_footprint_map",
    "build_footprint_multiples",
    "build_head_layers",
    "build_layer_panels",
    "build_map_animation",
    "build_mean_std_scatter",
    "build_norm_histogram",
    "build_pair_scatter",
    "build_plane",
    "build_ranked",
    "build_spectrum",
    "build_suppression_scatter",
    "build_sweep",
    "build_top_changes",
    "build_value_histogram",
    "build_version_map",
}


@pytest.mark.parametrize("name", OVER_DEPTH)
def test_one_layer_is_seen(name: str) -> None:
    figure: Any = OVER_DEPTH[name]()
    seen = [trace for trace in traces(figure) if 7 in np.ravel(trace.x)]
    assert seen
    for trace in seen:
        if trace.type not in ("bar", "heatmap") and trace.hoverinfo != "skip":
            assert "markers" in trace.mode, trace.name
    assert "layer" in title(layout(figure).xaxis)
    assert title(layout(figure).yaxis)
    low, high = layout(figure).xaxis.range
    assert low < 7 < high


def test_every_figure_is_held_here_or_has_no_layers() -> None:
    built: set[str] = set()
    for module in pkgutil.iter_modules(figures.__path__, "analysis.show.figures."):
        functions = inspect.getmembers(importlib.import_module(module.name), inspect.isfunction)
        built |= {name for name, _ in functions if name.startswith("build_")}
    assert built == {*OVER_DEPTH, *NOT_OVER_DEPTH}
