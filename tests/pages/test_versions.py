"""The Versions page in every state that two or more payloads can be in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from analysis.payload.annotations import pin_baseline
from analysis.payload.discovery import load_ref
from analysis.read.compare.comparison import compare
from analysis.read.compare.noise import NO_GROUPS
from analysis.show.report.comparison import list_views
from tests import ROOT
from tests.factories.grouped_payloads import make_grouped_pair
from tests.factories.payloads import make_payload, write_payload
from tests.factories.projects import make_project
from tests.pages.conftest import Open, decode, figures, payload_path, texts


def _write(project: Path, version: str, payload: dict[str, Any], **options: Any) -> str:
    return load_ref(write_payload(payload_path(project, version), payload, **options)).key


def _names(figure: dict[str, Any]) -> list[str]:
    return [str(trace.get("name")) for trace in figure["data"]]


def _button(app: AppTest, label: str) -> Any:
    return next(button for button in app.button if label in button.label)


def _write_pair(project: Path, **changes: Any) -> tuple[str, str]:
    first, second = make_grouped_pair(**changes)
    return _write(project, "first", first), _write(project, "second", second)


def test_what_exceeds_the_noise_is_said_and_coloured(project: Path, open_page: Open) -> None:
    first, second = _write_pair(project)
    app = open_page("versions", version=first, compare=second)
    assert not app.exception
    assert "Comparable: measured in the same way" in texts(app)
    said = texts(app)
    assert r"concentrates in layer 2" in said
    assert r"1 channel flagged" in said
    assert "The CLS token is within noise" in said
    shift = next(f for f in figures(app) if "beyond the noise (1)" in _names(f))
    coloured = shift["data"][_names(shift).index("beyond the noise (1)")]
    assert decode(coloured["x"]).tolist() == [5]


def test_a_link_says_below_which_size_a_difference_is_negligible(
    project: Path, open_page: Open
) -> None:
    first, second = _write_pair(project)
    app = open_page("versions", version=first, compare=second, negligible="9")
    assert not app.exception
    assert "measurable, negligible; concentrates in layer 2" in texts(app)
    names = [name for figure in figures(app) for name in _names(figure)]
    assert "beyond the noise, negligible (1)" in names
    drift = figures(app)[0]["data"][0]
    assert len(set(drift["marker"]["color"])) == 1  # grey in every layer


def test_a_link_draws_the_top_among_all_channels(project: Path, open_page: Open) -> None:
    first, second = _write_pair(project)
    app = open_page("versions", version=first, compare=second, drawn="every")
    assert not app.exception
    shown = [name for figure in figures(app) for name in _names(figure)]
    assert any(name.startswith("other channels") for name in shown)
    app = open_page("versions", version=first, compare=second)
    assert len(figures(app)) == 4  # what is not asked for is not drawn


def test_the_overlap_is_drawn_once_its_line_is_open_and_the_link_says_so(
    project: Path, open_page: Open
) -> None:
    first, second = _write_pair(project)
    app = open_page("versions", version=first, compare=second)
    before = len(figures(app))
    app.session_state["choose open_overlap"] = True  # as a click on the line does
    assert len(figures(app.run())) == before + 1
    assert app.query_params["open_overlap"] == "on"
    app = open_page("versions", version=first, compare=second, open_overlap="on")
    assert len(figures(app)) == before + 1


def test_an_audience_is_shown_a_figure_behind_a_closed_line(project: Path, open_page: Open) -> None:
    first, second = _write_pair(project)
    app = open_page("versions", version=first, compare=second, present="on", figure="overlap")
    (figure,) = figures(app)
    assert "overlap" in str(figure["layout"]["yaxis"]["title"])


def test_at_most_one_figure_takes_a_surface_of_webgl_and_that_for_many_points_only(
    project: Path, open_page: Open
) -> None:
    many = tuple(
        _write(
            project,
            name,
            make_payload(version=name, layers=2, channels=3072, drift=drift, extras=True),
        )
        for name, drift in (("wide", 0.0), ("wider", 1.0))
    )
    few = _write_pair(project)
    for path in sorted((ROOT / "pages").glob("[!_]*.py")):
        page, surfaces = path.stem, int(path.stem in ("outliers", "channels"))
        for (first, second), expected in ((many, surfaces), (few, 0)):
            app = open_page(page, version=first, compare=second)
            assert not app.exception
            assert _count_surfaces(app) == expected, page


def _count_surfaces(app: AppTest) -> int:
    kinds = [{trace["type"] for trace in figure["data"]} for figure in figures(app)]
    return sum("scattergl" in kind for kind in kinds)


def test_a_finding_leads_to_its_layer(project: Path, open_page: Open) -> None:
    first, second = _write_pair(project, layers=4)
    app = open_page("versions", version=first, compare=second, layer="0", representation="pre")
    assert "Top channels of layer 0" in "".join(str(h.value) for h in app.header)
    _button(app, "Layer 3, patch").click().run()
    assert not app.exception
    assert "Top channels of layer 3" in "".join(str(h.value) for h in app.header)


def test_without_groups_nothing_is_called_significant(project: Path, open_page: Open) -> None:
    for index, version in enumerate(("old", "older")):
        payload = make_payload(recorded=False, version=version, drift=3.0 * index)
        _write(project, version, payload, sidecar=False)
    app = open_page("versions")
    assert not app.exception
    assert "Comparable with care" in app.warning[0].value
    assert "not recorded in" in app.warning[0].value
    assert NO_GROUPS.split(",")[0] in texts(app)
    names = [name for figure in figures(app) for name in _names(figure)]
    assert not any("beyond the noise" in name or "within the noise" in name for name in names)
    assert any("not tested" in name for name in names)


def test_one_payload_with_groups_and_one_without_are_not_tested(
    project: Path, open_page: Open
) -> None:
    first, second = make_grouped_pair()
    del second["extras"]
    _write(project, "first", first)
    _write(project, "second", second)
    app = open_page("versions")
    assert not app.exception
    assert "beyond the noise" not in str(figures(app))


def test_a_second_payload_is_chosen_where_nobody_did(project: Path, open_page: Open) -> None:
    date = "2026-11-{}T10:00:00+00:00".format
    other = make_payload(version="other", backbone="dinov3_vits16", created=date(18))
    _write(project, "other", other)
    _write(project, "like", make_payload(version="like", created=date(10)))
    mine = _write(project, "mine", make_payload(version="mine", created=date(20)))
    app = open_page("versions", version=mine)
    assert not app.exception
    against = next(box for box in app.main.selectbox if box.label == "Baseline")
    assert against.value == load_ref(payload_path(project, "like")).key
    assert app.query_params["against"] == against.value  # a link that shows the same tomorrow
    assert figures(app)


@pytest.mark.parametrize("is_pinned", [True, False])
def test_where_nobody_chose_the_pinned_baseline_comes_before_the_frozen_backbone(
    is_pinned: bool, project: Path, open_page: Open
) -> None:
    lora, _like = _write_pair(project)
    frozen = make_payload(version="frozen", images=48, layers=3, channels=60, used_lora=False)
    _write(project, "frozen", frozen)
    if is_pinned:
        pin_baseline(payload_path(project, "second"))
    app = open_page("versions", version=lora)
    against = "second" if is_pinned else "frozen"
    assert app.title[0].value == f"Versions: first against {against}"


def test_long_names_leave_out_in_the_title_what_they_share(project: Path, open_page: Open) -> None:
    names = [f"vitl-lora-r16-lr{rate}-winter-meadow-2026" for rate in (10, 11)]
    first, second = (_write(project, name, make_payload(version=name)) for name in names)
    app = open_page("versions", version=second, compare=first)
    title = app.title[0].value.replace("\u2060", "")
    assert title == "Versions: …lr11… against …lr10…"


def test_other_backbones_leave_only_normalised_views(project: Path, open_page: Open) -> None:
    first = _write(project, "first", make_payload(version="first"))
    second = _write(project, "second", make_payload(version="second", backbone="dinov3_vits16"))
    app = open_page("versions", version=first, compare=second)
    assert not app.exception
    assert "Not comparable" in app.error[0].value
    (figure,) = figures(app)
    panels = [note["text"] for note in figure["layout"]["annotations"]]
    assert not any("block output" in text for text in panels)
    assert any("LN" in text for text in panels)


def test_one_click_compares_with_the_frozen_twin(project: Path, open_page: Open) -> None:
    lora, second = _write_pair(project)
    frozen = make_payload(version="frozen", images=48, layers=3, channels=60, used_lora=False)
    twin = _write(project, "frozen", frozen)
    app = open_page("versions", version=lora, compare=second)
    _button(app, "Compare with the frozen backbone (frozen)").click().run()
    assert not app.exception
    assert app.query_params["compare"] == f"{twin}.{second}"
    assert app.query_params["against"] == twin
    assert not [button for button in app.button if "frozen backbone" in button.label]


def test_a_missing_twin_can_be_extracted_with_the_form_filled_in(
    project: Path, open_page: Open
) -> None:
    make_project(project)
    versions = {"first": 1, "second": 2}
    keys = []
    for version, drift in versions.items():
        payload = make_payload(version=version, drift=drift, config_name="train.yaml")
        payload["meta"]["project_dir"] = str(project)
        keys.append(_write(project, version, payload))
    app = open_page("versions", version=keys[0], compare=keys[1])
    _button(app, "Extract the frozen backbone").click().run()
    assert not app.exception
    head = next(box for box in app.sidebar.selectbox if "Head weights" in box.label)
    assert head.value == "none"
    config = next(box for box in app.sidebar.selectbox if box.label == "Config")
    assert config.value == "configs/train.yaml"
    assert "frozen backbone, no adapter" in texts(app)


def test_a_read_only_server_offers_no_extraction(
    project: Path, open_page: Open, monkeypatch: Any
) -> None:
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    first, second = _write_pair(project)
    app = open_page("versions", version=first, compare=second)
    assert not app.exception
    assert not [button for button in app.button if "Extract" in button.label]


def test_three_versions_make_a_timeline(project: Path, open_page: Open) -> None:
    keys = [
        _write(
            project,
            version,
            make_payload(version=version, drift=drift, created=f"2026-11-{day}T10:00:00+00:00"),
        )
        for version, drift, day in (("third", 6.0, 30), ("first", 0.0, 10), ("second", 1.0, 20))
    ]
    app = open_page(
        "versions",
        version=keys[0],
        compare=f"{keys[1]}.{keys[2]}",
        open_channels_from_version_to_version="on",
    )
    assert not app.exception
    (moved,) = [text for text in texts(app).split("\n") if "moved most from first" in text]
    assert moved.startswith("**third**")
    assert "block output, patch tokens" in moved  # which the figure below draws
    channels = next(
        figure for figure in figures(app) if figure["layout"]["xaxis"].get("type") == "category"
    )
    assert list(channels["data"][0]["x"]) == ["first", "second", "third"]
    drift = next(f for f in figures(app) if _names(f) == ["second", "third"])
    assert np.all(decode(drift["data"][1]["y"]) > decode(drift["data"][0]["y"]))


def test_a_version_of_another_backbone_has_no_place_in_the_timeline(
    project: Path, open_page: Open
) -> None:
    keys = [_write(project, version, make_payload(version=version)) for version in ("a", "b")]
    keys.append(_write(project, "c", make_payload(version="c", channels=24)))
    app = open_page("versions", version=keys[0], compare=f"{keys[1]}.{keys[2]}")
    assert not app.exception
    assert "c is of another backbone than" in texts(app)


def test_broken_groups_are_named_instead_of_compared(project: Path, open_page: Open) -> None:
    first, second = make_grouped_pair()
    cell = second["extras"]["layers"][1]["groups"]["pre"]["patch"]
    cell["mean"] = cell["mean"][:, :5]
    keys = _write(project, "first", first), _write(project, "second", second)
    app = open_page("versions", version=keys[0], compare=keys[1])
    assert not app.exception
    assert "Make the payload anew" in app.error[0].value.replace("\\", "")


def test_grown_channels_are_counted_only_at_equal_token_counts(
    project: Path, open_page: Open
) -> None:
    small = make_payload(version="small", outliers={3: 50.0})
    keys = [
        _write(project, "small", small),
        _write(project, "large", make_payload(version="large", outliers={3: 300.0})),
        _write(project, "longer", make_payload(version="longer", outliers={3: 300.0}, images=7)),
    ]
    for version, expected in ((keys[1], "1"), (keys[2], "–")):
        app = open_page("versions", version=version, compare=keys[0])
        assert not app.exception
        (grown,) = [metric for metric in app.metric if metric.label == "Grown"]
        assert grown.value == expected


def test_what_the_version_has_and_its_baseline_lacks_is_new(project: Path, open_page: Open) -> None:
    frozen = _write(project, "frozen", make_payload(version="frozen"))
    lora = _write(project, "lora", make_payload(version="lora", outliers={7: 500.0}))
    app = open_page("versions", version=lora, compare=frozen, k="10", score="max_abs")
    assert not app.exception
    assert app.title[0].value == "Versions: lora against frozen"
    (figure,) = (f for f in figures(app) if "7 (new)" in str(f["layout"]["yaxis"].get("ticktext")))
    assert _names(figure)[1:] == ["frozen", "lora"]
    _button(app, "Swap").click().run()
    assert not app.exception
    assert app.title[0].value == "Versions: frozen against lora"
    assert any("7 (gone)" in str(f["layout"]["yaxis"].get("ticktext")) for f in figures(app))


def test_the_report_draws_the_figures_of_the_page(project: Path, open_page: Open) -> None:
    baseline, version = make_grouped_pair(names=("spring", "autumn"))
    keys = _write(project, "spring", baseline), _write(project, "autumn", version)
    files = (payload_path(project, name) for name in ("spring", "autumn"))
    comparison = compare(*files, names=("spring", "autumn"))
    cell = comparison.largest
    assert cell is not None
    for drawn, names in (
        ("top", ["drift", "channels beyond the noise", "channel effects", "top channels"]),
        ("every", ["every channel"]),
    ):
        app = open_page(
            "versions",
            version=keys[1],
            compare=keys[0],
            layer=str(cell.layer),
            representation=cell.representation.value,
            role=cell.role.value,
            drawn=drawn,
            overlap="Jaccard",
            open_overlap="on",
        )
        assert not app.exception
        shown = [figure["data"] for figure in figures(app)]
        for view in list_views(comparison):
            if view.name in [*names, "overlap"]:
                assert view.figure is not None
                assert json.loads(str(view.figure.to_json()))["data"] in shown, view.name


def test_the_only_payload_offers_its_frozen_backbone_to_compare_with(
    project: Path, open_page: Open
) -> None:
    _write(project, "mine", make_payload(version="mine"))
    app = open_page("versions")
    assert "There is only one payload" in app.info[0].value
    assert "extract frozen twin" in [button.key for button in app.main.button]
