"""What the form says before the start is what the start then does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.errors import ConfigError, InputError
from analysis.jobs.extractions import ExtractionRequest, list_configs, list_heads, list_weights
from analysis.jobs.extractions.forecast import forecast_extraction


def test_the_output_follows_the_specification(project: Path) -> None:
    forecast = forecast_extraction(ExtractionRequest(project_dir=project))
    folder = project / "outputs/v1/train_all/feature_stats"
    assert forecast.default_output == folder / "dinov3_feature_stats.pt"
    assert forecast.plan.images.total == len(forecast.plan.images.entries) == 6
    assert not forecast.exists


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        pytest.param(0, "dinov3_feature_stats.pt", id="all"),
        pytest.param(4, "dinov3_feature_stats.first4.pt", id="some"),
        pytest.param(6, "dinov3_feature_stats.pt", id="as many as there are"),
    ],
)
def test_a_limited_run_has_a_name_of_its_own(project: Path, limit: int, name: str) -> None:
    forecast = forecast_extraction(ExtractionRequest(project_dir=project, max_images=limit))
    assert forecast.default_output.name == name
    assert len(forecast.plan.images.entries) == (limit or 6)


def test_the_identical_extraction_is_found_by_its_fingerprint(project: Path) -> None:
    request = ExtractionRequest(project_dir=project)
    forecast = forecast_extraction(request)
    forecast.default_output.parent.mkdir(parents=True)
    other = forecast.default_output.with_name("other.pt")
    other.write_bytes(b"payload")
    facts = {"request_fingerprint": forecast.plan.fingerprint}
    other.with_suffix(".json").write_text(json.dumps(facts))
    assert forecast_extraction(request).identical == other
    limited = ExtractionRequest(project_dir=project, max_images=3)
    assert forecast_extraction(limited).identical is None


def test_an_image_that_changed_makes_it_another_extraction(project: Path) -> None:
    request = ExtractionRequest(project_dir=project)
    before = forecast_extraction(request).plan.fingerprint
    image = next((project / "data" / "train").iterdir())
    image.write_bytes(image.read_bytes() + b"more")
    assert forecast_extraction(request).plan.fingerprint != before


def test_the_time_is_judged_by_earlier_runs_of_the_same_kind(project: Path) -> None:
    facts = {
        "backbone": "dinov3_vitt16_demo",
        "image_size": [64, 32],
        "precision": "fp32",
        "device": "cpu",
        "images_per_second": 2.0,
    }
    like, unlike, hostile = (project / f"{name}.pt" for name in ("like", "unlike", "hostile"))
    like.with_suffix(".json").write_text(json.dumps(facts))
    unlike.with_suffix(".json").write_text(json.dumps(facts | {"precision": "bf16"}))
    hostile.with_suffix(".json").write_text(json.dumps(facts | {"images_per_second": "fast"}))
    request = ExtractionRequest(project_dir=project)
    measured = forecast_extraction(request, payloads=[unlike, hostile, like]).estimate
    assert (measured.images_per_second, measured.rough) == (2.0, False)
    assert measured.seconds > 6 / 2.0
    rough = forecast_extraction(request, payloads=[unlike, hostile]).estimate
    assert rough.rough


@pytest.mark.parametrize("speed", ["1e-320", "true", "1e308", f"1{'0' * 400}", "NaN", "[]"])
def test_a_speed_that_no_machine_has_is_not_judged_by(project: Path, speed: str) -> None:
    facts = {"backbone": "dinov3_vitt16_demo", "image_size": [64, 32], "precision": "fp32"}
    text = json.dumps(facts | {"device": "cpu"})[:-1] + f', "images_per_second": {speed}}}'
    (project / "a.json").write_text(text)
    request = ExtractionRequest(project_dir=project)
    assert forecast_extraction(request, payloads=[project / "a.pt"]).estimate.rough


def test_a_link_to_nowhere_beside_the_output_stops_no_form(project: Path) -> None:
    request = ExtractionRequest(project_dir=project)
    output = forecast_extraction(request).default_output
    output.parent.mkdir(parents=True)
    output.with_name("x.pt").symlink_to("/nowhere")
    assert forecast_extraction(request).identical is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"config": Path("configs/none.yaml")}, "none.yaml", id="no config"),
        pytest.param({"config": Path("../../x.yaml")}, "outside", id="a path upwards"),
        pytest.param({"dino_weights_pt": Path("/etc/hosts")}, "outside", id="an absolute path"),
        pytest.param({"max_images": -1}, "max-images", id="a negative number"),
    ],
)
def test_bad_fields_are_refused_by_name(
    project: Path, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        forecast_extraction(ExtractionRequest(project_dir=project, **fields))  # type: ignore[arg-type]


def test_a_link_that_leads_out_of_the_roots_is_refused(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text((project / "configs" / "train.yaml").read_text())
    (project / "configs" / "link.yaml").symlink_to(outside)
    request = ExtractionRequest(project_dir=project, config=Path("configs/link.yaml"))
    with pytest.raises(ConfigError, match="outside"):
        forecast_extraction(request)
    assert list_configs(project) == [Path("configs/train.yaml")]


def test_configs_of_past_trainings_are_offered_after_the_project_s_own(project: Path) -> None:
    for snapshot in ("outputs/b/train.yaml", "outputs/a/train_all/train.yaml", "configs/zz.yml"):
        (project / snapshot).parent.mkdir(parents=True, exist_ok=True)
        (project / snapshot).write_text("version: x")
    assert [str(path) for path in list_configs(project)] == [
        "configs/train.yaml",
        "configs/zz.yml",
        "outputs/b/train.yaml",
        "outputs/a/train_all/train.yaml",
    ]


def test_weights_and_heads_are_offered_by_name(project: Path) -> None:
    (project / "weights" / "README.md").touch()
    (project / "weights" / "head").mkdir(exist_ok=True)
    (project / "weights" / "head" / "infer_head.pt").touch()
    assert list_weights(project) == [Path("weights/dinov3_vitt16_demo.pt")]
    assert list_heads(project) == [Path("weights/head"), Path("weights/head/infer_head.pt")]


@pytest.mark.parametrize("typed", ["$WHERE/x", "${WHERE}", "${oc.env:WHERE}"])
def test_a_typed_path_shows_no_variable_of_the_server(
    project: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.setenv("WHERE", "private-place")
    for request in (
        ExtractionRequest(project_dir=project, config=Path(typed)),
        ExtractionRequest(project_dir=project, head_weights=typed),
        ExtractionRequest(project_dir=project, dino_weights_pt=Path(typed)),
    ):
        with pytest.raises(InputError) as error:
            forecast_extraction(request)
        assert "private-place" not in str(error.value)
