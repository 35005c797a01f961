from __future__ import annotations

import numpy as np

from analysis.read.compare.outlier_change import find_outlier_change
from analysis.read.outliers import rank_channels
from analysis.read.scores import Score
from analysis.vocabulary import Representation, TokenRole
from tests.factories.payloads import make_table

PRE = Representation.PRE


def test_outliers_are_those_of_each_version_at_the_layers_that_both_hold() -> None:
    a = make_table(layers=4, outliers={3: 300.0})
    b = make_table(layers=3, outliers={3: 300.0, 9: 200.0})
    change = find_outlier_change(a, b, np.arange(3), PRE)
    assert change.a.shape == change.b.shape == (3, 2, 48)
    for marked, table in ((change.a, a), (change.b, b)):
        for layer in range(3):
            for index, role in enumerate(TokenRole):
                expected = rank_channels(table, layer, PRE, role, Score.MAX_ABS).outlier_mask
                np.testing.assert_array_equal(marked[layer, index], expected)
    assert change.b[2, 1, 9]
    assert not change.a[2, 1, 9]
