"""The form: what it says before the start, what it refuses, and a real extraction to its end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from analysis.jobs.extractions import JobState, cancel_job, list_jobs
from tests.factories.payloads import make_payload, write_payload
from tests.factories.projects import make_project
from tests.jobs.conftest import wait_until
from tests.pages.conftest import ROOT, Open, payload_path, texts, version_shown

START = "Start extraction"


@pytest.fixture
def project(project: Path) -> Path:
    return make_project(project, lora=False, train_all=False)


def _field(app: AppTest, label: str) -> object:
    fields = (*app.sidebar.selectbox, *app.sidebar.number_input, *app.sidebar.radio)
    return next(field for field in fields if field.label == label)


def _start_button(app: AppTest) -> object:
    return next(button for button in app.sidebar.button if button.label == START)


def test_the_form_says_what_the_extraction_comes_to(open_page: Open) -> None:
    app = open_page("overview")
    said = texts(app)
    assert r"**v1**: 5 of 5 images (train) through dinov3\_vitt16\_demo, very roughly" in said
    assert "frozen backbone, no adapter" in said
    assert app.code[0].value == "outputs/v1/feature_stats/dinov3_feature_stats.pt"


def test_a_limit_changes_number_and_name(open_page: Open) -> None:
    app = open_page("overview")
    _field(app, "Max images").set_value(2).run()  # type: ignore[attr-defined]
    assert "2 of 5 images" in texts(app)
    assert app.code[0].value.endswith("dinov3_feature_stats.first2.pt")


def test_the_form_offers_configs_weights_and_heads(project: Path, open_page: Open) -> None:
    (project / "configs" / "other.yaml").write_text("version: x")
    app = open_page("overview")
    assert _field(app, "Config").options == ["configs/train.yaml", "configs/other.yaml"]  # type: ignore[attr-defined]
    weights = _field(app, "Backbone weights").options  # type: ignore[attr-defined]
    assert weights == ["automatic", "weights/dinov3_vitt16_demo_random.pth"]
    assert _field(app, "Head weights (LoRA)").options[:2] == ["automatic", "none"]  # type: ignore[attr-defined]


def test_the_backbones_of_a_file_are_offered_and_the_chosen_one_is_measured(
    project: Path, open_page: Open
) -> None:
    weights = project / "weights" / "dinov3_vitt16_demo_random.pth"
    state = torch.load(weights)
    torch.save({"teacher": state, "student": state}, weights)
    app = open_page("overview")
    field = _field(app, "Backbone of the file")
    assert field.options == ["automatic", "teacher", "student"]  # type: ignore[attr-defined]
    field.set_value("student").run()  # type: ignore[attr-defined]
    assert "weights_key=student" in app.query_params["form"]
    _start_button(app).click().run()  # type: ignore[attr-defined]
    (job,) = list_jobs()
    cancel_job(job)
    assert "--weights-key=student" in job.arguments
    wait_until(lambda: not any(job.is_live for job in list_jobs()))  # the form stays open then
    torch.save(state, weights)
    others = [each.label for each in open_page("overview").sidebar.selectbox]
    assert "Backbone weights" in others
    assert "Backbone of the file" not in others


def test_a_config_that_cannot_be_used_is_refused_before_the_start(
    project: Path, open_page: Open
) -> None:
    (project / "configs" / "train.yaml").write_text("data: [")
    app = open_page("overview")
    assert "train" in app.sidebar.error[0].value
    assert _start_button(app).disabled  # type: ignore[attr-defined]


@pytest.mark.parametrize("typed", ["/etc", "../..", "/proc/self"])
def test_a_project_dir_outside_the_roots_is_refused(project: Path, typed: str) -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.session_state["form project_dir"] = typed  # AppTest itself cannot type a new option
    app.run()
    assert not app.exception
    assert "outside" in app.sidebar.error[0].value
    assert _start_button(app).disabled  # type: ignore[attr-defined]


def test_a_payload_that_stands_there_is_never_replaced_unasked(
    project: Path, open_page: Open
) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    app = open_page("overview")
    app.session_state["form"] = True
    app.run()
    choice = _field(app, "A payload stands at the output path")
    assert app.code[0].value.endswith("dinov3_feature_stats.2.pt")
    choice.set_value("replace").run()  # type: ignore[attr-defined]
    assert app.code[0].value.endswith("dinov3_feature_stats.pt")
    assert "dinov3_feature_stats.pt.bak" in choice.options[1]  # type: ignore[attr-defined]


def test_a_read_only_server_shows_no_form(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    app = open_page("overview")
    assert "Read-only server" in texts(app)
    # which only write into the link
    assert [button.label for button in app.sidebar.button] == ["Save this view", "Present", "中文"]


def test_an_extraction_ends_with_its_version_selected(open_page: Open) -> None:
    app = open_page("layers")
    _start_button(app).click().run()  # type: ignore[attr-defined]
    assert not app.exception
    (job,) = list_jobs()
    assert app.query_params["job"] == job.id
    deadline = time.monotonic() + 120
    while list_jobs()[0].is_live and time.monotonic() < deadline:
        time.sleep(0.3)
    app.run()
    assert list_jobs()[0].state is JobState.DONE, list_jobs()[0].read_log()
    assert "job" not in app.query_params
    assert app.get("plotly_chart")
    assert app.toast[0].value == "v1 is done: 5 images measured."
    app.switch_page("pages/overview.py").run()
    assert version_shown(app) == "v1"


def test_a_running_job_is_shown_to_a_session_that_did_not_start_it(open_page: Open) -> None:
    _start_button(open_page("overview")).click().run()  # type: ignore[attr-defined]
    try:
        other = open_page("layers")
        assert not other.exception
        assert any(button.label == "Cancel" for button in other.sidebar.button)
        assert "An extraction is running" in texts(other)
    finally:
        cancel_job(list_jobs()[0])


def test_a_cancelled_job_says_so_where_it_was_started(open_page: Open) -> None:
    app = open_page("overview")
    _start_button(app).click().run()  # type: ignore[attr-defined]
    cancel = next(button for button in app.sidebar.button if button.label == "Cancel")
    cancel.click().run()
    deadline = time.monotonic() + 60
    while list_jobs()[0].is_live and time.monotonic() < deadline:
        time.sleep(0.2)
    app.run()
    assert "was cancelled; nothing was written" in app.sidebar.warning[0].value
    next(button for button in app.sidebar.button if button.label == "Dismiss").click().run()
    assert not app.sidebar.warning
    history = open_page("runs")
    assert history.dataframe[0].value["state"].tolist() == ["– cancelled"]


@pytest.mark.parametrize("value", [0, -3, 2.5])
def test_a_batch_size_that_no_run_can_have_is_refused_before_the_start(
    open_page: Open, value: float
) -> None:
    app = open_page("overview")
    _field(app, "Batch size").set_value(value).run()  # type: ignore[attr-defined]
    assert f"Batch size {value:g}: give a whole number, 1 or more" in app.sidebar.error[
        0
    ].value.replace("\\", "")
    assert _start_button(app).disabled  # type: ignore[attr-defined]


def test_the_form_remembers_its_fields_while_it_is_closed(open_page: Open) -> None:
    app = open_page("overview")
    _field(app, "Max images").set_value(2).run()  # type: ignore[attr-defined]
    for is_open in (False, False, True):
        app.session_state["form"] = is_open
        app.run()
    assert _field(app, "Max images").value == 2  # type: ignore[attr-defined]


def test_messages_speak_of_fields(project: Path, open_page: Open) -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.session_state[f"form head {project}"] = "weights/missing"
    app.run()
    assert "correct “Head weights”" in app.sidebar.error[0].value


def test_every_head_and_adapter_folder_is_offered(project: Path, open_page: Open) -> None:
    for name in ("head_winter/infer_head.pt", "deep/er/infer_head.pt", "peft/adapter_config.json"):
        path = project / "weights" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    options = _field(open_page("overview"), "Head weights (LoRA)").options  # type: ignore[attr-defined]
    assert options == [
        "automatic",
        "none",
        "weights/deep/er/infer_head.pt",
        "weights/head_winter/infer_head.pt",
        "weights/peft",
    ]


def test_a_link_fills_the_form(project: Path, open_page: Open) -> None:
    (project / "configs" / "other.yaml").write_text(
        (project / "configs" / "train.yaml").read_text()
    )
    app = open_page("overview")
    _field(app, "Config").set_value("configs/other.yaml").run()  # type: ignore[attr-defined]
    _field(app, "Max images").set_value(2).run()  # type: ignore[attr-defined]
    link = {name: str(value) for name, value in app.query_params.items()}
    linked = open_page("overview", **link)
    assert _field(linked, "Config").value == "configs/other.yaml"  # type: ignore[attr-defined]
    assert _field(linked, "Max images").value == 2  # type: ignore[attr-defined]
    broken = open_page("overview", form="max_images=x&device=gone&precision=none&a=b&=")
    assert not broken.exception
    assert not _start_button(broken).disabled  # type: ignore[attr-defined]


def test_several_configs_are_queued_at_once(project: Path, open_page: Open) -> None:
    text = (project / "configs" / "train.yaml").read_text()
    (project / "configs" / "v2.yaml").write_text(text.replace("version: v1", "version: v2"))
    app = open_page("overview")
    app.sidebar.multiselect(key=f"form more {project}").set_value(["configs/v2.yaml"]).run()
    said = texts(app)
    assert "**v1**: 5 of 5 images" in said
    assert "**v2**: 5 of 5 images" in said
    app.button(key="start extraction").click().run()
    try:
        assert not app.exception
        assert sorted(job.title for job in list_jobs()) == ["v1", "v2"]
    finally:
        for job in list_jobs():
            cancel_job(job)


def test_weights_of_another_backbone_are_refused_before_the_start(
    project: Path, open_page: Open
) -> None:
    torch.save({"cls_token": torch.zeros(1, 1, 384)}, project / "weights" / "small.pth")
    app = open_page("overview")
    weights = _field(app, "Backbone weights")
    weights.set_value("weights/small.pth").run()  # type: ignore[attr-defined]
    assert "these weights have 384 channels" in app.sidebar.error[0].value
    assert "“Backbone weights”" in app.sidebar.error[0].value
    assert _start_button(app).disabled  # type: ignore[attr-defined]


def test_a_part_of_one_name_means_that_file_aloud(project: Path, open_page: Open) -> None:
    text = (project / "configs" / "train.yaml").read_text()
    (project / "configs" / "train_1.10.yaml").write_text(text.replace("version: v1", "version: v9"))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.session_state[f"form config {project}"] = "train_1.10"
    app.run()
    said = texts(app).replace("\\", "")
    assert "Taken: configs/train_1.10.yaml" in said
    assert "**v9**" in said
