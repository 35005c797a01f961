"""The ready views of the Layers page and the page of one channel, in every state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from analysis.payload.table import build_table
from analysis.vocabulary import Representation, Statistic, TokenRole
from pages.components.layers.views import View
from tests.factories.payloads import make_payload, write_payload
from tests.factories.vectors import write_with_vectors
from tests.pages.conftest import Open, decode, figures, headings, payload_path, texts

WITH_EXTRAS = (View.TOP, View.NORMS, View.RANGE)


@pytest.mark.parametrize("view", View)
@pytest.mark.parametrize(
    ("layers", "channels"),
    [
        pytest.param(1, 1, id="one layer of one channel"),
        pytest.param(4, 48, id="small"),
        pytest.param(40, 4096, id="7B"),
    ],
)
def test_every_view_is_drawn(
    project: Path, open_page: Open, view: View, layers: int, channels: int
) -> None:
    payload = make_payload(
        layers=layers, channels=channels, images=2, version="v1", extras=True, tapped=(0,)
    )
    write_payload(payload_path(project, "v1"), payload)
    app = open_page("layers", view=view.value)
    assert not app.exception
    assert not app.error
    assert figures(app) or view is View.ADVICE


@pytest.mark.parametrize("view", View)
def test_a_payload_without_extras_says_what_is_missing_and_what_to_do(
    project: Path, open_page: Open, view: View
) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    app = open_page("layers", view=view.value)
    assert not app.exception
    assert not app.error
    assert ("extract it again" in texts(app)) == (view in {*WITH_EXTRAS, View.SHARED_NORM})


@pytest.mark.parametrize("view", View)
def test_of_two_payloads_a_view_shows_the_chosen_one(
    project: Path, open_page: Open, view: View
) -> None:
    for seed, version in enumerate(("v1", "v2")):
        payload = make_payload(version=version, seed=seed, extras=True)
        write_payload(payload_path(project, version), payload)
    app = _compare_two(open_page("layers", view=view.value))
    assert not app.exception
    assert not app.error


def test_registers_are_lines_of_their_own(project: Path, open_page: Open) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1", extras=True))
    drawn = figures(open_page("layers", storage="on", representations="pre", roles="patch"))[0]
    names = [str(trace.get("name")) for trace in drawn["data"]]
    assert names[:2] == ["block output, patch", "block output, register 0"]


def test_registers_are_in_the_table_too(project: Path, open_page: Open) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1", extras=True))
    app = open_page("layers", storage="on")
    app.session_state["layers table"] = True
    frame = app.run().dataframe[0].value
    of_register = frame[(frame["role"] == "storage_2") & (frame["representation"] == "pre")]
    assert of_register["layer"].tolist() == [0, 1, 2, 3]
    assert (of_register["tokens"] == 6).all()
    drawn = figures(open_page("layers", storage="on", representations="pre", roles="patch"))[0]
    (line,) = [t for t in drawn["data"] if t.get("name") == "block output, register 2"]
    np.testing.assert_allclose(of_register["median"], decode(line["y"]), rtol=1e-6)


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("channels", {"statistic": "mean"}),
        ("layers", {"view": "range"}),
        ("layers", {"statistic": "mean", "signed": "on"}),
        ("layers", {"statistic": "mean", "aggregate": "min"}),
        ("layers", {"view": "top"}),
    ],
)
def test_signed_values_can_be_drawn_on_a_symlog_axis(
    project: Path, open_page: Open, page: str, query: dict[str, str]
) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1", extras=True))
    plain, bent = (
        figures(open_page(page, scale=scale, **query))[0]["layout"]["yaxis"]
        for scale in ("linear", "symlog")
    )
    assert "ticktext" not in plain
    assert "0" in bent["ticktext"]


def test_layers_beyond_the_bounds_of_the_link_are_listed(project: Path, open_page: Open) -> None:
    payload = make_payload(version="v1", extras=True, outliers={5: 400.0})
    write_payload(payload_path(project, "v1"), payload)
    app = open_page("layers", view="range", lower="-50", upper="250")
    assert headings(app)[1] == "2 of 4 layers beyond a bound"
    assert app.dataframe[0].value["max_channel"].tolist() == [5, 5]
    assert "beyond a bound" in headings(open_page("layers", view="range", upper="nan"))[1]


def test_the_advice_is_for_the_tapped_layers(project: Path, open_page: Open) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1", tapped=(1, 3)))
    frame = open_page("layers", view="advice").table[0].value
    assert frame.index.tolist() == ["1", "1", "3", "3"]
    assert frame["Because"].str.endswith(".").all()


@pytest.mark.parametrize("extras", [True, False])
@pytest.mark.parametrize("page", ["channels", "outliers"])
@pytest.mark.parametrize(
    ("layers", "channels"),
    [
        pytest.param(1, 1, id="one layer of one channel"),
        pytest.param(4, 48, id="small"),
        pytest.param(40, 4096, id="7B"),
    ],
)
def test_channels_and_outliers_are_drawn(
    project: Path, open_page: Open, page: str, layers: int, channels: int, extras: bool
) -> None:
    payload = make_payload(
        layers=layers, channels=channels, images=2, version="v1", extras=extras, tapped=(0,)
    )
    write_payload(payload_path(project, "v1"), payload)
    write_payload(payload_path(project, "v2"), payload)
    app = _compare_two(open_page(page))
    assert not app.exception
    assert not app.error
    assert figures(app)


def test_a_link_opens_its_channel(project: Path, open_page: Open) -> None:
    payload = make_payload(version="v1")
    write_payload(payload_path(project, "v1"), payload)
    app = open_page("channels", channel="7", layer="2", role="cls")
    assert headings(app)[0] == "Channel 7 through depth"
    table = build_table(payload)
    max_abs = table.get(2, Representation.PRE, TokenRole.CLS, Statistic.MAX_ABS)
    rank = int(1 + (max_abs > max_abs[7]).sum())
    assert app.metric[0].value == f"{rank} of 48"
    course = decode(figures(app)[0]["data"][0]["y"])
    expected = table.over_depth(Representation.PRE, TokenRole.CLS, Statistic.MAX_ABS)[:, 7]
    np.testing.assert_allclose(course, expected)


@pytest.mark.parametrize("channel", ["48", "-1", "x", "1.5", "1e99"])
def test_a_link_to_a_channel_that_is_not_there_shows_the_largest(
    project: Path, open_page: Open, channel: str
) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    app = open_page("channels", channel=channel)
    assert not app.exception
    assert headings(app)[0] == "Channel 24 through depth"


def test_the_overlap_of_roles_names_registers(project: Path, open_page: Open) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1", extras=True))
    said = texts(open_page("outliers"))
    assert "none common): 1.00 (CLS), 0.00 (register 0)" in said


def _compare_two(app: AppTest) -> AppTest:
    shown = app.sidebar.multiselect[0]
    return shown.set_value([_other_key(app)]).run()


def _other_key(app: AppTest) -> str:
    from analysis.payload.discovery import discover_payloads

    first = app.sidebar.selectbox[0].value
    return next(ref.key for ref in discover_payloads() if ref.key != first)


def test_the_advice_is_held_to_probes_where_there_are_vectors(
    project: Path, open_page: Open
) -> None:
    write_with_vectors(payload_path(project, "v1"))
    app = open_page("layers", view="advice")
    assert not app.exception
    assert "linear probes of Mass" in texts(app) or "Probes of Mass" in texts(app)
    assert "Probes" in app.table[0].value


def test_an_advice_without_vectors_says_that_nothing_was_measured(
    project: Path, open_page: Open
) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    app = open_page("layers", view="advice")
    assert "Not held to any measurement" in texts(app)
