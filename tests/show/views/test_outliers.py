"""What stands below the figures of outliers."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.read.exceed import Exceedance
from analysis.show.figures.theme import MAX_SVG_POINTS
from analysis.show.views.outliers import exceedance
from analysis.vocabulary import TokenRole
from tests.factories.payloads import make_table


@pytest.mark.parametrize("more", [0, 1])
def test_a_figure_that_draws_ranges_of_channels_says_so(more: int) -> None:
    table = make_table()
    share = np.zeros((3, MAX_SVG_POINTS + 1))
    share[0, : MAX_SVG_POINTS + more] = 0.5
    found = Exceedance(share, np.zeros(share.shape[1], np.int64), table.num_layers)
    view = exceedance(table, "a", (int(table.layers[0]), TokenRole.PATCH), found)
    assert ("Bars: the range" in view.caption) == bool(more)
