"""The address is a link to the view: what it names is shown, what is chosen is written into it."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from analysis.payload.discovery import discover_payloads, load_ref
from tests.factories.payloads import make_payload, write_payload
from tests.pages.conftest import Open, decode, figures, headings, payload_path, texts, version_shown


@pytest.fixture
def keys(project: Path) -> dict[str, str]:
    """Write two payloads and return their keys by version."""
    for number, version in enumerate(("v1", "v2")):
        payload = make_payload(version=version, seed=number, drift=float(number))
        write_payload(payload_path(project, version), payload)
    return {str(ref.version): ref.key for ref in discover_payloads()}


@pytest.mark.parametrize("page", ["overview", "images"])
def test_a_number_of_thousands_of_digits_is_no_number(
    keys: dict[str, str], open_page: Open, page: str
) -> None:
    digits = "9" * 5000
    app = open_page(page, version=keys["v1"], at=digits, channel=digits, pictures=digits)
    assert not app.exception


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_link_opens_its_version(keys: dict[str, str], open_page: Open, version: str) -> None:
    app = open_page("overview", version=keys[version])
    assert version_shown(app) == version


def test_a_link_without_a_version_names_the_one_that_is_shown(
    keys: dict[str, str], open_page: Open
) -> None:
    app = open_page("overview")
    shown = version_shown(app)
    assert app.query_params["version"] == keys[shown]


def test_a_link_opens_its_comparison(keys: dict[str, str], open_page: Open) -> None:
    app = open_page("layers", version=keys["v2"], compare=keys["v1"], relative="off")
    names = {str(trace.get("name")) for trace in figures(app)[0]["data"]}
    assert {name.split(",")[0] for name in names} >= {"v1", "v2"}


def _colors(app: AppTest) -> dict[str, str]:
    traces = figures(app)[0]["data"]
    return {str(trace["name"]).split(",")[0]: trace["line"]["color"] for trace in traces}


def test_a_link_gives_each_version_the_colour_that_its_sender_saw(
    keys: dict[str, str], open_page: Open
) -> None:
    app = open_page("layers", version=keys["v2"], compare=keys["v1"], representations="pre")
    before = _colors(app)
    assert "colors" not in app.query_params  # the order says it
    app.sidebar.selectbox[0].set_value(keys["v1"]).run()
    app.sidebar.multiselect[0].set_value([keys["v2"]]).run()
    link = {name: str(value) for name, value in app.query_params.items()}
    assert _colors(app) == _colors(open_page("layers", **link)) == before
    assert not open_page("layers", **link | {"colors": "x.95a08599.---"}).exception


def test_a_link_opens_its_cell(keys: dict[str, str], open_page: Open) -> None:
    app = open_page(
        "outliers", version=keys["v1"], layer="2", representation="global_ln", role="cls"
    )
    assert headings(app)[0] == "Layer 2: global LN, CLS tokens"


def test_what_is_chosen_is_written_into_the_address(keys: dict[str, str], open_page: Open) -> None:
    app = open_page("outliers", version=keys["v1"])
    app.select_slider[0].set_value(1).run()
    assert app.query_params["layer"] == "1"
    assert headings(app)[0].startswith("Layer 1:")


def test_a_choice_is_carried_from_page_to_page(keys: dict[str, str], open_page: Open) -> None:
    app = open_page("outliers", version=keys["v1"], compare=keys["v2"])
    app.select_slider[0].set_value(1).run()
    app.switch_page("pages/overview.py").run()
    assert app.query_params["layer"] == "1"
    app.switch_page("pages/versions.py").run()
    assert app.select_slider[0].value == 1


def test_a_layer_that_this_version_lacks_is_kept_for_the_one_that_has_it(
    project: Path, open_page: Open
) -> None:
    write_payload(payload_path(project, "deep"), make_payload(version="deep", layers=6))
    write_payload(payload_path(project, "flat"), make_payload(version="flat", layers=2))
    keys = {str(ref.version): ref.key for ref in discover_payloads()}
    app = open_page("outliers", version=keys["flat"], layer="5")
    assert headings(app)[0].startswith("Layer 1:")
    app.sidebar.selectbox[0].set_value(keys["deep"]).run()
    assert headings(app)[0].startswith("Layer 5:")


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({"layer": "ninety"}, id="no number"),
        pytest.param({"layer": "-1", "k": "1e9", "score": "<b>"}, id="nonsense"),
        pytest.param({"representation": "", "role": "", "compare": ".."}, id="empty"),
        pytest.param({"job": "../../etc"}, id="a job that is none"),
    ],
)
def test_a_link_with_nonsense_shows_the_defaults(
    keys: dict[str, str], open_page: Open, query: dict[str, str]
) -> None:
    app = open_page("outliers", version=keys["v1"], **query)
    assert not app.exception
    assert headings(app)[0] == "Layer 3: block output, patch tokens"


def test_a_link_to_a_payload_that_is_gone_says_so(keys: dict[str, str], open_page: Open) -> None:
    app = open_page("overview", version="0123456789ab")
    assert not app.exception
    assert "The payload that this link names is not here" in texts(app)
    assert version_shown(app) in keys


def test_a_link_to_a_payload_that_was_written_just_now_opens_it(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    open_page("overview", version=keys["v1"])  # the list of payloads is kept from here on
    path = payload_path(project, "v3")
    write_payload(path, make_payload(version="v3"))
    app = open_page("overview", version=load_ref(path).key)
    assert "is not here" not in texts(app)
    assert version_shown(app) == "v3"


def test_the_link_outlives_a_new_extraction_to_the_same_path(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    before = decode(figures(open_page("layers", version=keys["v1"]))[0]["data"][0]["y"])
    payload = make_payload(version="v1", seed=99)
    write_payload(payload_path(project, "v1"), payload)
    after = decode(figures(open_page("layers", version=keys["v1"]))[0]["data"][0]["y"])
    assert before.shape == after.shape
    assert (before != after).any()  # and shows the new numbers, not the cached ones


def test_a_link_to_what_was_extracted_anew_says_so_until_it_is_accepted(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    content = open_page("overview", version=keys["v1"]).query_params["content"]
    again = open_page("overview", version=keys["v1"], content=content)
    assert "extracted anew" not in texts(again)
    write_payload(payload_path(project, "v1"), make_payload(version="v1", images=7))
    app = open_page("overview", version=keys["v1"], content=content)
    assert "v1 was extracted anew since this link was made" in texts(app)
    assert app.query_params["content"] == content  # a reload says it again
    (accept,) = [b for b in app.button if b.label == "Go on with the new numbers"]
    accept.click().run()
    assert "extracted anew" not in texts(app)
    assert app.query_params["content"] != content


def test_a_link_whose_compared_payload_is_gone_says_so(
    keys: dict[str, str], open_page: Open
) -> None:
    app = open_page("overview", version=keys["v1"], compare="0123456789ab")
    assert "A payload to compare with that this link names is not here" in texts(app)
    app = open_page("overview", version=keys["v1"], compare=f"0123456789ab.{keys['v2']}.aa")
    assert "2 payloads to compare with that this link names are not here" in texts(app)


def test_a_version_is_not_compared_with_itself_without_a_word(
    keys: dict[str, str], open_page: Open
) -> None:
    app = open_page("overview", version=keys["v1"], compare=keys["v1"])
    assert "v1 is the version; it is not compared with itself" in texts(app)
    assert "with itself" not in texts(open_page("overview", version=keys["v1"], compare=keys["v2"]))


def test_more_than_fit_are_cut_aloud(project: Path, open_page: Open) -> None:
    for number in range(12):
        payload = make_payload(version=f"v{number}", layers=1, channels=2, images=2)
        write_payload(payload_path(project, f"v{number}"), payload)
    app = open_page("runs")
    menu = app.sidebar.multiselect[0]
    others = [ref.key for ref in discover_payloads() if ref.key != app.query_params["version"]]
    menu.set_value(others).run()
    assert "11 were asked for; 9 fit, and the first 9 are taken" in texts(app)
    assert app.sidebar.multiselect[0].value == others[:9]
    assert app.query_params["compare"] == ".".join(others[:9])
    app.run()
    assert "were asked for" not in texts(app)
