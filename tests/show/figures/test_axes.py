from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from analysis.show.figures import axes
from tests.show.figures.reading import layout, title


@pytest.mark.parametrize(("last", "step"), [(0, 1), (11, 1), (23, 2), (39, 5)])
def test_layers_are_labelled_by_whole_numbers_that_do_not_crowd(last: int, step: int) -> None:
    axis: dict[str, Any] = axes.layer_axis(np.arange(last + 1))
    assert axis["dtick"] == step
    low, high = axis["range"]
    assert low < 0
    assert high > last


@pytest.mark.parametrize(("last", "named"), [(11, ["in", "0", "1"]), (39, ["in", "5", "10"])])
def test_what_enters_block_0_is_named_without_touching_the_next_label(
    last: int, named: list[str]
) -> None:
    axis: dict[str, Any] = axes.layer_axis(np.arange(axes.INPUT, last + 1))
    assert axis["ticktext"].tolist()[:3] == named
    assert len(axis["ticktext"]) == len(axis["tickvals"])


def test_a_colour_bar_over_logs_is_labelled_with_the_values() -> None:
    bar: dict[str, Any] = axes.magnitude_bar(np.log10(np.array([1.0, 40.0, 5000.0])), "max |x|")
    labels = dict(zip(bar["ticktext"].tolist(), bar["tickvals"].tolist(), strict=True))
    for label, value in (("1", 0.0), ("100", 2.0), ("1,000", 3.0)):
        assert labels[label] == pytest.approx(value)


def test_a_colour_bar_over_less_than_a_decade_tells_its_ends_and_its_middle() -> None:
    bar: dict[str, Any] = axes.magnitude_bar(np.log10(np.array([5.2, 11.2])), "drift")
    assert bar["ticktext"].tolist() == ["5.20", "7.63", "11.2"]
    assert bar["tickvals"] == pytest.approx(np.log10([5.2, 7.63, 11.2]), abs=1e-3)


def test_a_colour_bar_survives_nothing_and_one_value() -> None:
    assert len(np.asarray(axes.magnitude_bar(np.array([np.nan]), "x")["tickvals"]))
    assert len(np.asarray(axes.magnitude_bar(np.array([2.0]), "x")["tickvals"]))


def test_a_title_names_each_unit_once() -> None:
    figure = go.Figure().update_xaxes(title={"text": axes.label_with_unit("std", "a", "b", "a")})
    assert title(layout(figure).xaxis) == "std a, b"


@pytest.mark.parametrize(
    ("values", "dtick"),
    [
        pytest.param([1.0, 2.0], None, id="less-than-a-decade"),
        pytest.param([1.0, 500.0], "D2", id="a-few-decades"),
        pytest.param([1e-3, 1e5], None, id="many-decades"),
        pytest.param([0.0, np.nan], None, id="nothing-positive"),
    ],
)
def test_a_logarithmic_axis_is_labelled_as_densely_as_it_can_be_read(
    values: list[float], dtick: str | None
) -> None:
    axis: dict[str, Any] = axes.log_axis("x", np.array(values[:1]), np.array(values[1:]))
    assert axis["type"] == "log"
    assert axis.get("dtick") == dtick
