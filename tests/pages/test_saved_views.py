"""Saved views: a list in the address that an audience is led through."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.factories.payloads import make_payload, write_payload
from tests.pages.conftest import Open, headings, payload_path


@pytest.fixture
def payload(project: Path) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))


def _click(app: AppTest, key: str, page: str) -> AppTest:
    """Click what leads to a page, which AppTest forgets at once."""
    app.button(key=key).click().run()
    assert not app.exception
    return app.switch_page(f"pages/{page}.py").run()


def _steps(app: AppTest) -> list[str]:
    steps = [button for button in app.button if str(button.key).startswith("step ")]
    return [button.label for button in steps if button.label != "Save"]


def _pack(content: str) -> str:
    return base64.urlsafe_b64encode(zlib.compress(content.encode())).decode()


@pytest.mark.usefixtures("payload")
def test_saved_views_are_stepped_through_with_their_choices(open_page: Open) -> None:
    app = open_page("layers", statistic="mean")
    app.button(key="save view").click().run()
    app = app.switch_page("pages/outliers.py").run()
    app.segmented_control(key="choose role").set_value("cls").run()
    app.button(key="save view").click().run()
    link = {name: str(value) for name, value in app.query_params.items()}
    shown = open_page("outliers", **link | {"present": "on"})
    assert _steps(shown) == ["Back", "Next", "End"]
    assert shown.button(key="step on").disabled  # the last one
    shown = _click(shown, "step back", "layers")
    assert shown.title[0].value == "Layers"
    assert shown.query_params["statistic"] == "mean"
    assert "role" not in shown.query_params
    assert shown.button(key="step back").disabled
    shown = _click(shown, "step on", "outliers")
    assert shown.title[0].value == "Outliers"
    assert shown.segmented_control(key="choose role").value == "cls"
    shown.button(key="step end").click().run()
    assert not _steps(shown)
    assert "views" in shown.query_params


@pytest.mark.usefixtures("payload")
def test_a_view_can_be_named_and_else_says_what_was_chosen(open_page: Open) -> None:
    app = open_page("outliers", representation="global_ln", role="cls", layer="2")
    app.text_input(key="name of the view").set_value(" The *outliers* ")
    app.button(key="save view").click().run()
    app.button(key="save view").click().run()
    assert app.button(key="open view 0").label == r"1. The \*outliers\*"
    assert app.button(key="open view 1").label == "2. Outliers, layer 2, global LN, CLS"


@pytest.mark.usefixtures("payload")
def test_a_saved_view_keeps_its_figure_its_note_and_its_place(open_page: Open) -> None:
    app = open_page("outliers", present="on", figure="channels over depth map")
    app.button(key="step save").click().run()
    app.button(key="step end").click().run()
    app.text_input(key="name of the view").set_value("Second")
    app.text_area(key="note of the view").set_value("Ask about *registers*")
    app.button(key="save view").click().run()
    assert app.button(key="open view 1").help == r"Ask about \*registers\*"
    app.button(key="raise view 1").click().run()
    assert app.button(key="open view 0").label == "1. Second"
    link = {name: str(value) for name, value in app.query_params.items()}
    shown = _click(
        open_page("layers", **link | {"present": "on", "at": "0"}), "step on", "outliers"
    )
    assert "Top channels through the network" in headings(shown)


@pytest.mark.usefixtures("payload")
def test_slides_hold_each_saved_view_once_and_end_where_they_began(open_page: Open) -> None:
    views = _pack('[["layers", {"statistic": "mean"}], ["share", {}, "No figure", "a note"]]')
    app = open_page("outliers", views=views, role="cls")
    app.button(key="make slides").click().run()
    for page in ("layers", "share", "outliers"):  # AppTest forgets where a click leads
        assert not app.exception
        app = app.switch_page(f"pages/{page}.py").run()
    _, slides = app.session_state["slides of the saved views"]
    assert [(slide.name, slide.note) for slide in slides] == [
        ("Layers", ""),
        ("No figure", "a note"),
    ]
    assert slides[0].view is not None
    assert slides[0].view.title.startswith("|mean|")
    assert slides[1].view is None
    assert app.query_params["role"] == "cls"
    assert "statistic" not in app.query_params


@pytest.mark.usefixtures("payload")
def test_the_keys_of_a_presenter_step(open_page: Open) -> None:
    app = open_page("layers", present="on", views=_pack('[["layers", {}], ["outliers", {}]]'))
    keys = {name: app.button(key=name).proto.shortcut for name in ("step back", "step on")}
    assert keys == {"step back": "pageup", "step on": "pagedown"}


@pytest.mark.usefixtures("payload")
def test_a_view_is_taken_off_the_list(open_page: Open) -> None:
    app = open_page("layers", views=_pack('[["layers", {"layer": "1"}], ["outliers", {}]]'))
    assert app.button(key="open view 0").label == "1. Layers, layer 1"
    app.button(key="drop view 0").click().run()
    assert app.button(key="open view 0").label == "1. Outliers"
    app.button(key="drop view 0").click().run()
    assert "views" not in app.query_params


@pytest.mark.usefixtures("payload")
@pytest.mark.parametrize(
    "views",
    [
        pytest.param("no list", id="no base64"),
        pytest.param(base64.urlsafe_b64encode(b"no zlib").decode(), id="not compressed"),
        pytest.param(_pack('["layers"]'), id="not a view"),
        pytest.param(_pack('[["layers", {}, 1]]'), id="a name that is no text"),
        pytest.param(_pack('[["../secret", {}]]'), id="no such page"),
        pytest.param(_pack('[["layers", {"layer": 1}]]'), id="a choice that is no text"),
        pytest.param(_pack(json.dumps([["layers", {"a": "x" * 10**6}]])), id="unpacks to much"),
        pytest.param(_pack("[" * 60_000), id="nested deeply"),
        pytest.param(_pack('[[["layers"], {}]]'), id="a page that is no text"),
    ],
)
def test_a_broken_list_is_none(open_page: Open, views: str) -> None:
    app = open_page("layers", present="on", views=views)
    assert not app.exception
    assert _steps(app) == ["Back", "Next", "End"]  # through the figures of the page
    assert "open view 0" not in {button.key for button in app.button}


@pytest.mark.usefixtures("payload")
def test_a_list_cannot_hold_more_views_than_are_shown(open_page: Open) -> None:
    app = open_page("layers", views=_pack(json.dumps([["layers", {}]] * 30)))
    opened = [button for button in app.button if str(button.key).startswith("open view")]
    assert len(opened) == 20
    assert app.button(key="save view").disabled
