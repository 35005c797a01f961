"""Different backbones are compared by their normalised layers only."""

from __future__ import annotations

from typing import Any

from analysis.read.frames import Aggregate
from analysis.show.views.normalised import normalised_layers
from analysis.vocabulary import Statistic, TokenRole
from tests.factories.payloads import make_table


def test_two_backbones_share_one_figure_without_the_raw_output() -> None:
    tables = make_table(layers=4, channels=8), make_table(layers=3, channels=6, backbone="other")
    view = normalised_layers(
        tables, ("a", "b"), Statistic.STD, Aggregate.MEDIAN, [TokenRole.CLS, TokenRole.PATCH]
    )
    figure: Any = view.figure
    assert sorted({len(line.y) for line in figure.data if line.name}) == [3, 4]
    frame = view.tabulate()
    assert set(frame["representation"]) == {"per_layer_ln", "global_ln"}
    assert set(frame["version"]) == {"a", "b"}
