from __future__ import annotations

import numpy as np

from analysis.read.depth.extremes import find_beyond, find_extremes

LAYERS = np.array([4, 5])
ENDS = np.array([[[-1.0, -9.0], [2.0, 3.0]], [[-1.0, -2.0], [70.0, 60.0]]])


def test_the_extremes_name_their_channels() -> None:
    frame = find_extremes(LAYERS, ENDS)
    assert frame.values.tolist() == [[4, -9, 1, 3, 1], [5, -2, 1, 70, 0]]


def test_only_layers_beyond_a_bound_are_listed_with_how_many_channels() -> None:
    frame = find_beyond(LAYERS, ENDS, -5, 50)
    assert frame[["layer", "channels_below", "channels_above"]].values.tolist() == [
        [4, 1, 0],
        [5, 0, 2],
    ]
    assert find_beyond(LAYERS, ENDS, -9, 70).empty  # the bound itself is not beyond
