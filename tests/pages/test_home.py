"""Home lists every version against one baseline, and leads to each of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from analysis.jobs.extractions import Job, JobState
from analysis.jobs.summaries.make import make_probe
from analysis.payload.annotation import Annotation
from analysis.payload.annotations import annotate, load_annotations, pin_baseline
from analysis.payload.discovery import discover_payloads
from analysis.payload.fingerprint import fingerprint_file
from analysis.payload.index import save_index
from analysis.payload.reading import open_payload
from analysis.read.summary import summarize, to_json
from analysis.vocabulary import TokenRole
from pages.components.home.table import PROGRESS, build_frame, order
from pages.components.shared import cache
from tests import ROOT
from tests.factories.grouped_payloads import make_grouped_pair
from tests.factories.payloads import make_payload, write_payload
from tests.factories.vectors import LAYER, write_with_vectors
from tests.pages.conftest import Open, figures, headings, payload_path, texts


@pytest.fixture
def keys(project: Path) -> dict[str, str]:
    """Write a frozen payload, one that differs in its last layer, and one of another backbone."""
    frozen, moved = make_grouped_pair(names=("frozen", "moved"))
    frozen["meta"]["backbone"]["used_lora"] = False
    other = make_payload(version="other", channels=24, backbone="dinov3_vits16")
    for name, payload in (("frozen", frozen), ("moved", moved), ("other", other)):
        write_payload(payload_path(project, name), payload)
    return {str(ref.version): ref.key for ref in discover_payloads()}


def table(app: AppTest) -> pd.DataFrame:
    return app.dataframe[0].value.set_index("Version")


def test_each_version_stands_beside_the_frozen_backbone(
    keys: dict[str, str], open_page: Open
) -> None:
    shown = table(open_page("home"))
    assert shown["Against the baseline"]["★ frozen"] == "baseline"
    assert shown["Against the baseline"]["moved"] == "beyond chance"
    assert shown["Most in layer"]["moved"] == 2
    assert (shown["Drift"] > shown["Noise floor"]).to_list().count(True) == 1


def test_a_version_that_equals_the_baseline_moved_most_in_no_layer(
    keys: dict[str, str], project: Path, open_page: Open
) -> None:
    same, _moved = make_grouped_pair(names=("same", "moved"))
    write_payload(payload_path(project, "same"), same)
    row = table(open_page("home")).loc[["same"]]
    assert row["Drift"].tolist() == [0]
    assert row["Most in layer"].isna().all()


def test_a_false_index_beside_a_payload_is_not_opened_by_the_server(
    keys: dict[str, str], project: Path, open_page: Open
) -> None:
    path = payload_path(project, "moved")
    reading = open_payload(path)
    false = replace(summarize(reading), outlier_channels=7, largest=1e6)
    save_index(path, reading, to_json(false))
    shown = table(open_page("home"))
    assert shown["Largest |x|"]["moved"] < 1e6
    assert shown["Outlier channels"]["moved"] != 7


@pytest.mark.parametrize("number", [1, 2])
def test_who_has_one_payload_reads_what_a_second_one_would_show(
    project: Path, open_page: Open, number: int
) -> None:
    for name in ("first", "second")[:number]:
        write_payload(payload_path(project, name), make_payload(version=name))
    assert ("There is only one payload." in texts(open_page("home"))) == (number == 1)


def test_what_may_not_be_compared_says_why_and_shows_no_number(
    keys: dict[str, str], open_page: Open
) -> None:
    row = table(open_page("home")).loc[["other"]]
    assert str(row["Against the baseline"].item()).startswith("not comparable: Backbone")
    assert row[["× chance", "Drift", "Noise floor", "Most in layer"]].isna().all(axis=None)


def test_the_map_names_the_version_that_moved_most_and_has_its_cells(
    keys: dict[str, str], open_page: Open
) -> None:
    app = open_page("home")
    assert headings(app)[0].startswith("moved is furthest beyond chance: ")
    assert headings(app)[0].endswith("in layer 2")
    cells, *marks = figures(app)[0]["data"]
    assert cells["type"] == "heatmap"
    assert [mark["name"] for mark in marks] == ["moved"]
    assert "1 of 2 versions may not be compared" in texts(app)


def test_the_baseline_of_a_link_is_taken_and_a_pinned_one_else(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    pin_baseline(payload_path(project, "moved"))
    assert "★ moved" in table(open_page("home")).index
    linked = open_page("home", base=keys["other"])
    assert "★ other" in table(linked).index
    assert linked.query_params["base"] == keys["other"]


def test_words_find_versions_by_name_and_note(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    annotate(payload_path(project, "other"), Annotation(note="sent to the field team"))
    assert set(table(open_page("home", find="FIELD team")).index) == {"other"}
    assert set(table(open_page("home", find="mov")).index) == {"moved"}


def test_tags_and_scores_stand_in_the_table_and_group_it(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    path = payload_path(project, "moved")
    annotate(path, Annotation(tags=("winter", "good"), score=0.81))
    app = open_page("home", group="tags", find="winter")
    assert table(app)["Score"]["moved"] == 0.81
    assert list(table(app)["Tags"]["moved"]) == ["winter", "good"]
    assert app.subheader[0].value.startswith("winter, good")


def test_a_number_of_the_metrics_file_beside_a_version_is_its_score(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    (payload_path(project, "moved").parents[1] / "metrics.csv").write_text("epoch,r2\n1,0.64\n")
    annotate(payload_path(project, "frozen"), Annotation(score=0.1))
    scores = table(open_page("home", metric="r2"))["Score"]
    assert scores["moved"] == 0.64
    assert scores.isna()["★ frozen"]
    assert table(open_page("home"))["Score"]["★ frozen"] == 0.1


def test_what_another_person_saved_meanwhile_stays(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    path = payload_path(project, "moved")
    app = _with_form(open_page("home", rows=keys["moved"])).run()
    annotate(path, Annotation(tags=("winter",), score=0.5))
    app.text_area[0].set_value("worth a second look")
    _with_form(app).button(key=f"FormSubmitter:annotate {keys['moved']}-Save").click().run()
    expected = Annotation(tags=("winter",), score=0.5, note="worth a second look")
    assert load_annotations().of(path) == expected


def test_a_note_that_two_people_type_is_replaced_only_by_who_has_read_the_other(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    path = payload_path(project, "moved")
    app = _with_form(open_page("home", rows=keys["moved"])).run()
    annotate(path, Annotation(note="theirs", score=0.5))
    cache.forget_lists()
    save = f"FormSubmitter:annotate {keys['moved']}-Save"
    app.text_area[0].set_value("mine")
    _with_form(app).button(key=save).click().run()
    assert "theirs" in app.error[0].value
    assert load_annotations().of(path) == Annotation(note="theirs", score=0.5)
    assert app.text_area[0].value == "mine"
    app.text_area[0].set_value("mine")
    _with_form(app).button(key=save).click().run()
    assert load_annotations().of(path) == Annotation(note="mine", score=0.5)


def test_a_form_that_is_opened_shows_what_others_have_saved(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    app = open_page("home", rows=keys["moved"])
    annotate(payload_path(project, "moved"), Annotation(note="theirs"))
    cache.forget_lists()
    assert _with_form(app).run().text_area[0].value == "theirs"


def _with_form(app: AppTest) -> AppTest:
    app.session_state["edit version"] = True  # which AppTest forgets from run to run
    return app


@pytest.mark.parametrize(
    ("column", "first"),
    [("Outlier channels", None), ("Score", "moved"), ("Tags", "★ frozen"), ("Version", None)],
)
def test_a_link_sorts_the_rows(
    project: Path, keys: dict[str, str], open_page: Open, column: str, first: str | None
) -> None:
    annotate(payload_path(project, "moved"), Annotation(score=0.5, tags=("winter",)))
    annotate(payload_path(project, "frozen"), Annotation(score=0.25, tags=("Autumn",)))
    shown = table(open_page("home", sort=column, rows=keys["moved"]))
    names, values = list(shown.index), shown.reset_index()[column].to_list()
    if column == "Outlier channels":
        assert values == sorted(values, reverse=True)
    elif column == "Version":
        assert names == ["moved", "other", "★ frozen"]
    else:
        assert names[0] == first
        assert names[-1] == "other"  # of which nothing is said


def test_folds_are_one_row_with_their_mean_and_spread(project: Path, open_page: Open) -> None:
    frozen, *_ = make_grouped_pair(names=("frozen", "other"))
    frozen["meta"]["backbone"]["used_lora"] = False
    write_payload(payload_path(project, "frozen"), frozen)
    for fold, shift in enumerate((0.4, 0.5, 0.9)):
        name = f"winter-fold{fold}"
        _, moved = make_grouped_pair(names=("frozen", name), shift=shift)
        write_payload(payload_path(project, name), moved)
    each, united = table(open_page("home")), table(open_page("home", folds="on"))
    members = each.filter(like="winter", axis=0)
    assert len(members) == 3
    assert set(united.index) == {"★ frozen", "winter (3\N{NO-BREAK SPACE}versions)"}
    row = united.loc[["winter (3\N{NO-BREAK SPACE}versions)"]]
    assert row["Drift"].item() == pytest.approx(members["Drift"].mean())
    assert row["Spread"].item() == pytest.approx(members["Drift"].std())


def test_folds_are_told_by_tags_too(project: Path, open_page: Open) -> None:
    frozen, *_ = make_grouped_pair(names=("frozen", "other"))
    frozen["meta"]["backbone"]["used_lora"] = False
    write_payload(payload_path(project, "frozen"), frozen)
    for name, tags in (("a", ("winter", "seed 1")), ("b", ("winter", "seed 2")), ("c", ())):
        _, moved = make_grouped_pair(names=("frozen", name))
        write_payload(payload_path(project, name), moved)
        annotate(payload_path(project, name), Annotation(tags=tags))
    united = table(open_page("home", folds="tags"))
    assert {name.split(" (")[-1] for name in united.index} == {
        "★ frozen",
        "2\N{NO-BREAK SPACE}versions)",
        "c",
    }


def test_a_hidden_version_is_listed_on_demand_and_shown_again(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    path = payload_path(project, "other")
    annotate(path, Annotation(hidden=True, score=0.5))
    app = open_page("home", hidden="on", rows=keys["other"])
    assert "other (hidden)" in table(app).index
    app.button(key="hide version").click().run()
    assert load_annotations().of(path) == Annotation(score=0.5)


def test_the_switch_lists_hidden_versions_at_once(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    annotate(payload_path(project, "other"), Annotation(hidden=True))
    app = open_page("home")
    for is_on in (True, False):
        app.toggle(key="choose hidden").set_value(is_on).run()
        assert ("other (hidden)" in table(app).index) == is_on


def test_where_all_are_hidden_all_are_listed(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    for name in keys:
        annotate(payload_path(project, name), Annotation(hidden=True))
    assert len(table(open_page("home"))) == len(keys)


def test_an_extraction_that_runs_is_a_row_with_its_progress() -> None:
    path = Path("outputs/new/feature_stats/stats.pt")
    job = Job(
        "1",
        Path(),
        "new",
        path,
        "cpu",
        JobState.RUNNING,
        25,
        100,
        None,
        None,
        "",
        None,
        0.0,
        None,
        None,
        (),
        False,
    )
    frame = build_frame([], [job], TokenRole.CLS, None)
    assert [frame[name].tolist() for name in ("Version", PROGRESS)] == [["new"], [0.25]]
    assert order(("Version", "Health"), is_live=True) == ["Version", PROGRESS, "Health"]


def test_the_best_probe_is_listed_where_vectors_are(project: Path, open_page: Open) -> None:
    path = payload_path(project, "v1")
    write_with_vectors(path)
    file = fingerprint_file(path)
    make_probe(file, lambda file: open_payload(Path(file[0])))
    write_payload(payload_path(project, "v2"), make_payload(version="v2", layers=3, channels=16))
    shown = table(open_page("home"))
    assert shown["Best probe"].notna().to_dict() == {"★ v1": True, "v2": False}
    assert f"Mass, layer {LAYER} patch" in shown["Probe of"].to_dict()["★ v1"]


def test_groups_have_a_table_each(keys: dict[str, str], open_page: Open) -> None:
    app = open_page("home", group="backbone")
    assert sorted(len(frame.value) for frame in app.dataframe) == [1, 2]


def test_a_hidden_version_is_not_listed(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    annotate(payload_path(project, "other"), Annotation(hidden=True))
    assert "other" not in table(open_page("home")).index


def test_rows_of_a_link_are_ticked_and_compared(keys: dict[str, str], open_page: Open) -> None:
    app = open_page("home", rows=keys["moved"])
    app.button(key="compare versions").click().run()
    assert app.title[0].value == "Versions: moved against frozen"


def test_a_ticked_row_is_opened_and_pinned(
    project: Path, keys: dict[str, str], open_page: Open
) -> None:
    app = open_page("home", rows=keys["moved"])
    app.button(key="pin version").click().run()
    assert load_annotations().baseline == payload_path(project, "moved")
    app.button(key="open version").click().run()
    assert app.title[0].value == "Overview: moved"


def test_home_comes_first_but_an_old_link_to_a_version_opens_its_overview(
    keys: dict[str, str],
) -> None:
    app, linked = (AppTest.from_file(str(ROOT / "app.py"), default_timeout=60) for _ in range(2))
    assert app.run().title[0].value == "Home"
    linked.query_params["version"] = keys["moved"]
    linked.run()
    assert linked.title[0].value == "Overview: moved"


def test_a_broken_payload_says_so_in_its_row(project: Path, open_page: Open) -> None:
    write_payload(payload_path(project, "good"), make_payload(version="good"))
    path = payload_path(project, "broken")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a payload")
    health: Any = table(open_page("home"))["Health"]
    assert health["★ good"] == "✓"
    assert "not a payload" in health["broken"]
