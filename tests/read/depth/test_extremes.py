from __future__ import annotations

import numpy as np
import torch

from analysis.payload.table import build_table
from analysis.read.depth.extremes import find_beyond, find_extremes, find_largest_channels
from tests.factories.payloads import make_payload

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


def test_the_largest_channels_are_those_of_either_role() -> None:
    payload = make_payload(layers=2, channels=9)
    rng = np.random.default_rng(0)
    sizes = rng.permuted(np.tile(np.arange(1.0, 10.0), (2, 1)), axis=1)
    for layer, row in enumerate(sizes):
        cells = payload["layers"][layer]["pre"]
        is_cls = np.arange(9) % 2 == 0
        cells["cls"]["max_abs"][:] = torch.from_numpy(np.where(is_cls, row, 0.5))
        cells["patch"]["max_abs"][:] = torch.from_numpy(np.where(is_cls, 0.25, row))
    found = find_largest_channels(build_table(payload))
    np.testing.assert_array_equal(found, [[9, 8, 7, 5]] * 2)
