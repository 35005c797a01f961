"""What is taken away opens elsewhere and holds the same numbers."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest

from analysis.show.export import (
    HEADLINE,
    figure_to_html,
    frame_to_csv,
    frame_to_parquet,
    name_file,
    with_headline,
)
from analysis.show.figures.theme import make_figure
from analysis.show.view import View

FRAME = pd.DataFrame(
    {
        "channel": np.arange(3, dtype=np.int32),
        "value": np.array([0.1, np.nan, 3e38], dtype=np.float32),
        "emergence": pd.array([1, None, 3], dtype="Int64"),
        "mixed": ["text, with comma", 3, None],
    }
)


def test_a_figure_needs_no_network() -> None:
    figure = make_figure([{"type": "scatter", "y": [1, 2]}], {}, "dark")
    html = figure_to_html(figure, "dark").decode()
    assert not re.search(r"<script[^>]+src=", html)
    assert "#0e1117" in html  # brings its page colour


def test_the_legend_of_a_figure_with_a_headline_stands_below_it() -> None:
    figure = make_figure([{"type": "scatter", "y": [1, 2]}], {}, "light")
    layout = with_headline(View("Drift", "drift", figure)).to_dict()["layout"]
    assert layout["template"]["layout"]["legend"]["yref"] == "container"  # follows no axes
    assert layout["height"] * (1 - layout["legend"]["y"]) == pytest.approx(HEADLINE)


def test_csv_and_parquet_hold_the_same_table() -> None:
    csv = pd.read_csv(io.BytesIO(frame_to_csv(FRAME)), dtype={"value": np.float32})
    parquet = pd.read_parquet(io.BytesIO(frame_to_parquet(FRAME)))
    np.testing.assert_array_equal(csv["value"], parquet["value"])
    assert csv["mixed"].fillna("").tolist() == parquet["mixed"].fillna("").tolist()
    assert parquet["emergence"].isna().tolist() == [False, True, False]
    assert parquet["channel"].dtype == np.int32


@pytest.mark.parametrize(
    ("name", "stem"),
    [("max |x|, layer 3", "max_x_layer_3"), ("../../etc/passwd", "etc_passwd"), ("..", "export")],
)
def test_a_file_name_is_safe(name: str, stem: str) -> None:
    assert name_file(name) == stem


@pytest.mark.parametrize(
    "text", ['=HYPERLINK("x")', "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1"]
)
def test_a_text_of_the_csv_is_no_formula(text: str) -> None:
    frame = pd.DataFrame({text: [text, "plain", "-0.5"], "value": [-1.5, 2.0, 3.0]})
    read = pd.read_csv(io.BytesIO(frame_to_csv(frame)), dtype=str)
    assert list(read.columns) == [f"'{text}", "value"]
    assert list(read.iloc[:, 0]) == [f"'{text}", "plain", "-0.5"]
    assert list(read["value"]) == ["-1.5", "2.0", "3.0"]
