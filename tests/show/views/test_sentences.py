"""Sentences name the value that is drawn, its place, and nothing where nothing is known."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from analysis.show.view import View
from analysis.show.views.sentences import name_channels, name_largest, name_largest_cell
from analysis.vocabulary import Representation, TokenRole

LAYERS = np.array([3, 7])


def test_the_largest_cell_is_named_among_those_that_are_drawn() -> None:
    values = np.zeros((2, 3, 2))
    values[1, 2, 0], values[0, 0, 1] = 5.0, 2.5
    assert name_largest_cell("drift", LAYERS, values) == (
        "The largest drift is 5.00, in layer 7 (global LN, CLS tokens)."
    )
    drawn = [(Representation.PRE, TokenRole.PATCH)]
    assert name_largest_cell("drift", LAYERS, values, drawn).endswith(
        "2.50, in layer 3 (block output, patch tokens)."
    )


@pytest.mark.parametrize("smallest", [True, False])
def test_what_is_unknown_is_neither_largest_nor_smallest(smallest: bool) -> None:
    course = np.array([np.nan, 2.0])
    said = name_largest("overlap", LAYERS, [("a", course)], smallest=smallest)
    assert said.endswith("overlap is 2.00, in layer 7 (a).")
    assert not name_largest("overlap", LAYERS, [("a", np.full(2, np.nan))], smallest=smallest)
    assert not name_largest("overlap", LAYERS, [], smallest=smallest)


def test_few_channels_are_named() -> None:
    assert name_channels("max |x|", np.arange(9.0), [8, 7]) == (
        "The largest by max |x|: channel 8 (8.000), 7 (7.000)."
    )
    assert name_channels("max |x|", np.arange(9.0), list(range(9))).count("(") == 5
    assert not name_channels("max |x|", np.arange(9.0), [])


def test_without_a_sentence_the_audience_reads_the_first_of_the_caption() -> None:
    view = View("Drift", "drift", go.Figure(), caption="Thin: noise. Hollow: within.", about="a")
    assert view.words == "Thin: noise."
    assert view.alternative == "Figure, a: Drift. Thin: noise. Hollow: within."
    assert View("Drift", "drift", sentence="Up 2.", caption="Thin.").words == "Up 2."
    chinese = View("漂移", "drift", caption="误差线：各折的标准误。虚线：打乱的目标。")
    assert chinese.words == "误差线：各折的标准误。"
