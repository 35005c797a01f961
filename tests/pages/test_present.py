"""Showing the pages to an audience: part of the address, undone as easily."""

from __future__ import annotations

from pathlib import Path

from tests.factories.payloads import make_payload, write_payload
from tests.pages.conftest import Open, figures, payload_path


def test_the_button_enlarges_type_and_figure_and_is_in_the_address(
    project: Path, open_page: Open
) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    app = open_page("layers")
    before = figures(app)[0]["layout"]
    app.button(key="present").click().run()
    assert not app.exception
    after = figures(app)[0]["layout"]
    assert after["font"]["size"] > 1.3 * before["font"]["size"]
    assert after["height"] > before["height"]
    assert app.query_params["present"] == "on"
    app.switch_page("pages/outliers.py").run()
    assert figures(app)[0]["layout"]["font"]["size"] == after["font"]["size"]
    app.button(key="step end").click().run()
    assert figures(app)[0]["layout"]["font"]["size"] == before["font"]["size"]


def test_a_link_opens_as_it_was_presented(project: Path, open_page: Open) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    plain, presented = (open_page("layers", present=state) for state in ("off", "on"))
    sizes = [figures(app)[0]["layout"]["font"]["size"] for app in (plain, presented)]
    assert sizes[0] < sizes[1]
