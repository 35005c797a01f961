"""What the head reads, by the layers that the config taps."""

from __future__ import annotations

import numpy as np

from analysis.show.views.targets import head_layers
from tests.factories.payloads import make_table

NORMS = [{"index": 1, "gamma_mean": 2.0, "gamma_std": 0.5}]


def test_the_weights_of_a_head_stand_at_the_tapped_layers() -> None:
    table = make_table(head_layer_weights=[0.25, 0.75], head_token_norms=NORMS)
    view = head_layers(table, "v1")
    assert view is not None
    frame = view.tabulate()
    assert frame["layer"].tolist() == list(table.tapped_layers)
    assert frame["weight"].tolist() == [0.25, 0.75]
    assert np.isnan(frame["gamma_mean"][0])
    assert frame["gamma_mean"][1] == 2.0


def test_weights_of_other_layers_than_the_tapped_ones_have_positions_only() -> None:
    view = head_layers(make_table(head_layer_weights=[0.2, 0.3, 0.5]), "v1")
    assert view is not None
    assert "layer" not in view.tabulate()
    assert "does not tap as many layers" in view.caption


def test_a_head_that_fuses_nothing_shows_nothing() -> None:
    assert head_layers(make_table(), "v1") is None
