"""Showing a page to an audience: one figure and its words; in the address, as easily undone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.factories.payloads import make_payload, write_payload
from tests.pages.conftest import Open, figures, headings, payload_path, texts


@pytest.fixture
def payload(project: Path) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))


@pytest.mark.usefixtures("payload")
def test_an_audience_sees_one_figure_with_versions_and_sentence_in_large_type(
    open_page: Open,
) -> None:
    app = open_page("outliers")
    before = figures(app)
    app.button(key="present").click().run()
    assert not app.exception
    (after,) = figures(app)
    assert after["layout"]["font"]["size"] > 1.3 * before[0]["layout"]["font"]["size"]
    assert after["layout"].get("height") is None  # that of the screen
    assert headings(app)[0] == "Layer 3: block output, patch tokens"
    assert "v1" in [caption.value for caption in app.caption]
    assert "channels are outliers" in texts(app)
    assert app.query_params["present"] == "on"
    app.switch_page("pages/layers.py").run()
    assert len(figures(app)) == 1
    app.button(key="step end").click().run()
    assert figures(app)[0]["layout"]["font"]["size"] == before[0]["layout"]["font"]["size"]


@pytest.mark.usefixtures("payload")
@pytest.mark.parametrize(("present", "shown"), [("on", False), ("off", "hover")])
def test_no_bar_of_tools_lies_over_the_figure_of_an_audience(
    open_page: Open, present: str, shown: bool | str
) -> None:
    chart = open_page("outliers", present=present).get("plotly_chart")[0]
    assert json.loads(chart.proto.config)["displayModeBar"] == shown


@pytest.mark.usefixtures("payload")
def test_a_figure_is_chosen_by_its_button_and_by_its_link(open_page: Open) -> None:
    app = open_page("outliers")
    app.button(key="present channels over depth map").click().run()
    assert "Top channels through the network" in headings(app)
    link = {name: str(value) for name, value in app.query_params.items()}
    assert link["figure"] == "channels over depth map"
    linked = open_page("outliers", **link)
    assert len(figures(linked)) == 1
    assert "Top channels through the network" in headings(linked)


@pytest.mark.usefixtures("payload")
def test_without_saved_views_the_steps_lead_through_the_figures_of_the_page(
    open_page: Open,
) -> None:
    app = open_page("outliers", present="on")
    assert app.button(key="step back").disabled
    app.button(key="step on").click().run()
    assert "Top channels through the network" in headings(app)
    app.button(key="step back").click().run()
    assert headings(app)[0] == "Layer 3: block output, patch tokens"


@pytest.mark.usefixtures("payload")
def test_a_figure_that_the_page_has_not_gives_way_to_its_first(open_page: Open) -> None:
    app = open_page("outliers", present="on", figure="drift")
    assert headings(app)[0] == "Layer 3: block output, patch tokens"
    assert "figure" not in app.query_params


@pytest.mark.usefixtures("payload")
def test_a_page_without_figures_is_shown_as_it_is(open_page: Open) -> None:
    app = open_page("share", present="on")
    assert not app.exception
    assert app.button(key="step end")
    assert headings(app)[0] == "Report"
