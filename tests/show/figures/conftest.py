"""Every figure that a test builds passes plotly's own check, which the pages do without."""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go
import pytest

from analysis.show.figures import theme


@pytest.fixture(autouse=True)
def checked_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold that plotly knows each key and value of a figure, and would send the same."""
    make = theme.make_figure

    def make_checked(*arguments: Any, **options: Any) -> go.Figure:
        figure = make(*arguments, **options)
        checked = go.Figure(figure)
        sent, expected = (json.loads(str(one.to_json())) for one in (figure, checked))
        sent["layout"] = {key: value for key, value in sent["layout"].items() if value != []}
        assert sent == expected
        return checked

    monkeypatch.setattr(theme, "make_figure", make_checked)
