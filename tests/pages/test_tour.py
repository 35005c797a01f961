"""The tour leads through the payload at hand, and gets out of the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from analysis.payload.discovery import discover_payloads
from tests.factories.payloads import make_payload, write_payload
from tests.pages.conftest import Open, headings, payload_path, texts

THREE = {5: 300.0, 9: 250.0, 30: 200.0}


@pytest.fixture
def versions(project: Path) -> None:
    """Write a version with an adapter and its frozen twin."""
    for name, used_lora in (("cold", False), ("warm", True)):
        payload = make_payload(
            version=name,
            used_lora=used_lora,
            outliers=THREE,
            layers=6,
            drift=float(used_lora),
            created=f"2026-11-20T14:0{int(used_lora)}:00+00:00",
        )
        write_payload(payload_path(project, name), payload)


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.main.button]


def click(app: AppTest, key: str) -> AppTest:
    return app.button(key=key).click().run()


@pytest.mark.usefixtures("versions")
def test_each_step_opens_its_page_with_its_view_and_its_sentences(open_page: Open) -> None:
    app = open_page("overview")
    offered = labels(app)[labels(app).index("Dismiss") + 1 :]
    assert [label[:2] for label in offered[:2]] == ["1.", "2."]
    channels = next(i for i, label in enumerate(offered) if "Three channels" in label)
    app = click(app, f"tour {channels}")
    assert not app.exception
    assert app.title[0].value == "Outliers"
    assert "channels 5, 9 and 30 reach" in texts(app)
    assert app.query_params["score"] == "max_abs"
    assert headings(app)[0].startswith(f"Layer {app.query_params['layer']}: ")
    # AppTest forgets where st.switch_page led
    app = click(app.switch_page("pages/outliers.py").run(), "tour next")
    assert not app.exception
    assert app.title[0].value.startswith("Versions: ")
    assert "Between cold and warm the patch tokens drift by" in texts(app)
    assert "compare" in app.query_params


@pytest.mark.usefixtures("versions")
def test_the_tour_is_gone_once_it_is_dismissed(open_page: Open) -> None:
    app = click(open_page("overview"), "tour dismiss")
    assert "What to look at first" not in texts(app)
    app = app.switch_page("pages/layers.py").run().switch_page("pages/overview.py").run()
    assert "What to look at first" not in texts(app)
    assert app.query_params["tour"] == "off"


@pytest.mark.usefixtures("versions")
def test_a_reload_or_a_bookmark_does_not_offer_a_dismissed_tour_again(open_page: Open) -> None:
    assert "What to look at first" not in texts(open_page("overview", tour="off"))
    assert "What to look at first" in texts(open_page("overview"))


@pytest.mark.usefixtures("versions")
def test_the_sentences_stay_with_their_page_and_their_payload(open_page: Open) -> None:
    app = open_page("overview")
    app = click(app, "tour 0")
    said = app.title[0].value
    app = app.switch_page("pages/runs.py").run()
    assert "End the tour" not in labels(app)
    app = app.switch_page(f"pages/{said.lower()}.py").run()
    assert "End the tour" in labels(app)
    other = next(ref.key for ref in discover_payloads() if ref.key != app.query_params["version"])
    app = app.sidebar.selectbox[0].set_value(other).run()
    assert not app.exception
    assert "End the tour" not in labels(app)


def test_a_payload_without_anything_to_show_offers_no_tour(project: Path, open_page: Open) -> None:
    payload = make_payload(outliers={}, used_lora=False, channels=24, layers=2)
    write_payload(payload_path(project, "v"), payload)
    app = open_page("overview")
    assert not app.exception
    assert "What to look at first" not in texts(app)
