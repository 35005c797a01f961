"""Every page in every state: it draws what there is, or says what to do."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import streamlit as st

from analysis.payload.annotations import pin_baseline
from analysis.payload.discovery import discover_payloads
from pages.components.frame import uploads
from tests.factories.payloads import make_payload, write_payload
from tests.pages.conftest import (
    PAGES,
    ROOT,
    Open,
    figures,
    headings,
    payload_path,
    texts,
    version_shown,
)

WITH_NUMBERS = ("overview", "layers", "outliers", "channels")


@pytest.mark.parametrize("page", [page for page in PAGES if page != "runs"])
def test_without_a_payload_the_page_says_what_to_do(open_page: Open, page: str) -> None:
    app = open_page(page)
    assert not app.exception
    assert "Start an extraction in the sidebar, or upload" in texts(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_bare_string_which_streamlit_would_print(page: str) -> None:
    _, *statements = ast.parse((ROOT / f"pages/{page}.py").read_text()).body  # first: what it is
    bare = [s for s in statements if isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)]
    assert not bare


def test_without_a_job_the_history_says_how_to_start_one(open_page: Open) -> None:
    app = open_page("runs")
    assert not app.exception
    assert "No extraction has been started from here yet" in texts(app)


@pytest.mark.parametrize("extras", [True, False], ids=["with extras", "without extras"])
@pytest.mark.parametrize("page", PAGES)
def test_one_payload_is_shown(project: Path, open_page: Open, page: str, extras: bool) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1", extras=extras))
    app = open_page(page)
    assert not app.exception
    assert not app.error
    assert bool(figures(app)) == (page in WITH_NUMBERS)


def test_overview_shows_the_largest_activations_where_there_is_no_adapter(
    project: Path, open_page: Open
) -> None:
    payload = make_payload(version="v1", used_lora=False, extras=True)
    write_payload(payload_path(project, "v1"), payload)
    assert "Largest activations and the median one" in headings(open_page("overview"))[0]


def test_one_payload_is_not_enough_to_compare(project: Path, open_page: Open) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    app = open_page("versions")
    assert not app.exception
    assert "Extract or upload a second one" in texts(app)


@pytest.mark.parametrize("page", PAGES)
def test_two_payloads_are_drawn(project: Path, open_page: Open, page: str) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    write_payload(payload_path(project, "v2"), make_payload(version="v2", drift=1.0, seed=1))
    app = open_page(page)
    app.sidebar.multiselect[0].set_value(_keys(app)[:1]).run()
    assert not app.exception
    if page not in ("images", "interventions", "targets", "similarity", "share", "runs"):
        assert figures(app)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("home", "runs")])
def test_a_broken_payload_is_named_with_the_remedy(
    project: Path, open_page: Open, page: str
) -> None:
    path = payload_path(project, "v1")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a payload")
    app = open_page(page)
    assert not app.exception
    assert str(path) in app.error[0].value
    assert "Pick another version in the sidebar, or extract this one again" in texts(app)


def test_a_broken_payload_can_be_deleted(project: Path, open_page: Open) -> None:
    path = payload_path(project, "v1")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a payload")
    app = open_page("runs")
    assert not app.exception
    app.button(key=f"confirm payload {_all_keys(app)[0]}").click().run()
    assert not path.exists()


def test_a_broken_payload_does_not_hide_a_good_one(project: Path, open_page: Open) -> None:
    write_payload(payload_path(project, "good"), make_payload(version="good"))
    broken = payload_path(project, "broken")
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"")
    app = open_page("layers")
    first = app.sidebar.selectbox[0]
    other = [key for key in _all_keys(app) if key != first.value]
    app.sidebar.multiselect[0].set_value(other).run()
    assert len(app.error) == 1
    assert figures(app)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("layers", "channels"),
    [pytest.param(1, 1, id="one layer of one channel"), pytest.param(40, 4096, id="7B")],
)
def test_extreme_sizes_are_drawn(
    project: Path, open_page: Open, page: str, layers: int, channels: int
) -> None:
    payload = make_payload(layers=layers, channels=channels, images=2, version="v1", tapped=(0,))
    write_payload(payload_path(project, "v1"), payload)
    write_payload(payload_path(project, "v2"), payload)
    app = open_page(page)
    app.sidebar.multiselect[0].set_value(_keys(app)[:1]).run()
    assert not app.exception
    assert not app.error
    assert bool(figures(app)) == (page in (*WITH_NUMBERS, "versions", "home"))


@pytest.mark.parametrize("view", ["peaks", "footprint"])
def test_the_images_of_one_layer_of_one_channel_are_shown(
    project: Path, open_page: Open, view: str
) -> None:
    payload = make_payload(layers=1, channels=1, images=2, version="v1", extras=True)
    write_payload(payload_path(project, "v1"), payload)
    app = open_page("images", view=view)
    assert not app.exception
    assert not app.error


def test_payloads_of_different_backbones_are_not_compared_number_by_number(
    project: Path, open_page: Open
) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1", channels=48))
    write_payload(payload_path(project, "v2"), make_payload(version="v2", channels=64))
    app = open_page("versions")
    app.sidebar.multiselect[0].set_value(_keys(app)[:1]).run()
    assert not app.exception
    assert "cannot be compared number by number" in texts(app)


def test_a_payload_of_an_older_tool_opens_everywhere(project: Path, open_page: Open) -> None:
    payload = make_payload(version="v1", recorded=False)
    write_payload(payload_path(project, "v1"), payload)
    for page in WITH_NUMBERS:
        app = open_page(page)
        assert not app.exception
        assert not app.error


def test_an_upload_is_shown_and_a_broken_one_named(project: Path, open_page: Open) -> None:
    write_payload(project / "elsewhere.pt", make_payload(version="elsewhere"))
    content = (project / "elsewhere.pt").read_bytes()
    app = open_page("overview")
    app.file_uploader[0].upload("../mine.pt", content).run()
    assert not app.exception
    assert figures(app)
    assert app.sidebar.selectbox[0].options == ["mine.pt · uploaded"]
    app.file_uploader[0].upload("broken.pt", content[:1000]).run()
    assert not app.exception
    said = app.error[0].value.replace("\\", "")
    assert said.startswith("broken cannot be shown. broken.pt: ")  # no folder
    assert figures(app)  # of what was looked at before
    assert app.sidebar.selectbox[0].options == ["mine.pt · uploaded"]


def test_an_upload_is_seen_by_others_only_through_its_link(project: Path, open_page: Open) -> None:
    write_payload(project / "elsewhere.pt", make_payload(version="elsewhere"))
    app = open_page("overview")
    app.file_uploader[0].upload("mine.pt", (project / "elsewhere.pt").read_bytes()).run()
    key = str(app.query_params["version"])
    assert "There is nothing to show yet" in texts(open_page("layers"))
    st.cache_resource.clear()  # as any browser may ask of Streamlit
    assert figures(open_page("layers", version=key))


def test_no_more_is_uploaded_than_there_is_room_for(
    project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write_payload(project / "a.pt", make_payload(seed=5)).read_bytes()
    monkeypatch.setattr(uploads, "MAX_KEPT", len(content) - 1)
    app = open_page("overview")
    app.file_uploader[0].upload("a.pt", content).run()
    assert "no room for more uploads" in app.error[0].value
    assert not app.exception


def test_a_read_only_server_takes_no_upload(
    project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    assert not open_page("overview").file_uploader


def test_a_failed_adapter_is_an_error_on_the_overview(project: Path, open_page: Open) -> None:
    payload = make_payload(version="v1", used_lora=False, lora_error="key *qkv* does not fit")
    write_payload(payload_path(project, "v1"), payload)
    app = open_page("overview")
    assert "The LoRA adapter was not loaded" in app.error[0].value
    assert r"key \*qkv\* does not fit" in app.error[0].value  # shown as written, not as Markdown


def test_tokens_that_were_left_out_are_an_error_on_the_overview(
    project: Path, open_page: Open
) -> None:
    payload = make_payload(version="v1", nonfinite_tokens=[0, 0, 3, 4])
    write_payload(payload_path(project, "v1"), payload)
    assert "7 token outputs were NaN or infinite" in open_page("overview").error[0].value


def test_the_laws_are_green_red_or_grey_with_their_numbers(project: Path, open_page: Open) -> None:
    payload = make_payload(version="v1", used_lora=False)
    payload["layers"][2]["pre"]["patch"]["max_abs"][5] = 0.0
    write_payload(payload_path(project, "v1"), payload)
    app = open_page("overview")
    assert ":green-badge[:material/check_circle: 7 of 10 checks hold]" in texts(app)
    assert ":red-badge[:material/cancel: 2 of 10 checks broken]" in texts(app)
    laws = app.table[0].value
    outcome = {law.split(" ", 1)[1].replace("\\", ""): law.split("[")[0] for law in laws.index}
    assert outcome["patch count"] == ":green"
    assert outcome["|mean| <= max |x|"] == ":red"
    assert outcome["adapter"] == ":gray"
    found = dict(zip(outcome, laws["Found"], strict=True))
    assert found["patch count"] == 48
    assert "layer 2, pre, patch, channel 5" in " ".join(laws["In words"]).replace("\\", "")


def test_of_two_versions_the_overview_checks_the_chosen_one(project: Path, open_page: Open) -> None:
    for version, layers in (("v1", 2), ("v2", 3)):
        write_payload(payload_path(project, version), make_payload(version=version, layers=layers))
    keys = {ref.version: ref.key for ref in discover_payloads()}
    app = open_page("overview", version=keys["v1"], compare=keys["v2"], show=keys["v2"])
    assert version_shown(app) == "v2"
    assert "3 layers × 48 channels" in texts(app)
    assert "Not compared with v1: " in texts(app).replace("\\", "")
    differing = app.table[1].value
    assert differing.columns.tolist() == ["v1", "v2"]
    assert [differing[name]["Layers"] for name in ("v1", "v2")] == ["2", "3"]
    assert "Channels" not in differing.index
    app.session_state["all facts"] = True
    facts = app.run().dataframe[0].value
    assert facts.columns.tolist() == ["Fact", "v1", "v2"]
    assert "Channels" in facts["Fact"].tolist()


def test_the_overview_says_where_a_version_moved_most_from_the_pinned_one(
    project: Path, open_page: Open
) -> None:
    for version, drift in (("still", 0.0), ("moved", 1.0)):
        payload = make_payload(version=version, drift=drift, extras=True)
        write_payload(payload_path(project, version), payload)
    keys = {ref.version: ref.key for ref in discover_payloads()}
    pin_baseline(payload_path(project, "still"))
    said = texts(open_page("overview", version=keys["moved"])).replace("\\", "")
    assert "Furthest beyond chance, compared with still: patch tokens in layer" in said
    assert "× chance" in said


def test_the_overview_lists_what_the_file_holds(project: Path, open_page: Open) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    app = open_page("overview")
    app.session_state["contents"] = True
    held = app.run().table[1].value["Held"]
    assert len(held.filter(like="tokens")[:6]) == 6
    assert held["block output, patch tokens"].endswith("in 4 layers, 48 tokens each")
    assert held["histograms of token norms"] == "no"


def test_skipped_files_are_named_on_the_overview(project: Path, open_page: Open) -> None:
    skipped = [{"path": "a/b.jpg", "reason": "truncated"}]
    payload = make_payload(version="v1", skipped_files=skipped, skipped_count=1)
    write_payload(payload_path(project, "v1"), payload)
    app = open_page("overview")
    tables = [table.value for table in app.dataframe]
    assert any("a/b.jpg" in table.to_string() for table in tables)


def _all_keys(app: object) -> list[str]:
    from analysis.payload.discovery import discover_payloads

    return [ref.key for ref in discover_payloads()]


def _keys(app: object) -> list[str]:
    """Return the keys of the payloads besides the first one."""
    first = app.sidebar.selectbox[0].value  # type: ignore[attr-defined]
    return [key for key in _all_keys(app) if key != first]
