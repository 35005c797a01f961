"""The folder of a training run stands for the checkpoint in it that is meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.collect.plan.find_weights import find_backbone_weights, find_heads
from analysis.collect.plan.settings import Settings, load_settings
from analysis.errors import ConfigError
from tests.factories.projects import make_project


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    make_project(tmp_path / "project", images=1, lora=False, weights=False)
    return load_settings(tmp_path / "project")


def save(run: Path, *names: str, file: str = "model.safetensors") -> None:
    for name in names:
        (run / name).mkdir(parents=True)
        (run / name / file).touch()


def record_best(folder: Path, best: str | None) -> None:
    state = {"best_metric": 0.5, "best_model_checkpoint": best, "log_history": []}
    (folder / "trainer_state.json").write_text(json.dumps(state, indent=2, sort_keys=True))


def test_the_highest_number_is_measured_and_the_others_are_named(
    tmp_path: Path, settings: Settings
) -> None:
    save(tmp_path / "run", "checkpoint-1000", "checkpoint-500", "checkpoint-90")
    record_best(tmp_path / "run" / "checkpoint-1000", None)
    found = find_backbone_weights(settings, tmp_path / "run")
    assert found.path.name == "checkpoint-1000"
    (notice,) = found.notices
    assert "checkpoint-90, checkpoint-500" in notice


@pytest.mark.parametrize("recorded", ["./run/checkpoint-500", "C:\\runs\\checkpoint-500"])
def test_the_best_that_the_trainer_recorded_comes_first(
    tmp_path: Path, settings: Settings, recorded: str
) -> None:
    save(tmp_path / "run", "checkpoint-500", "checkpoint-1000", "best")
    record_best(tmp_path / "run" / "checkpoint-1000", recorded)
    assert find_backbone_weights(settings, tmp_path / "run").path.name == "checkpoint-500"


def test_a_folder_named_best_comes_before_the_numbers(tmp_path: Path, settings: Settings) -> None:
    save(tmp_path / "run", "checkpoint-500", "checkpoint-best")
    record_best(tmp_path / "run" / "checkpoint-500", "./run/checkpoint-100")  # deleted since
    assert find_backbone_weights(settings, tmp_path / "run").path.name == "checkpoint-best"


def test_what_the_trainer_saved_at_the_end_comes_before_all(
    tmp_path: Path, settings: Settings
) -> None:
    save(tmp_path / "run", "checkpoint-500", "best")
    (tmp_path / "run" / "model.safetensors").touch()
    found = find_backbone_weights(settings, tmp_path / "run")
    assert (found.path, found.notices) == (tmp_path / "run", ())


def test_the_adapter_of_a_run_is_chosen_in_the_same_way(tmp_path: Path, settings: Settings) -> None:
    save(tmp_path / "run", "checkpoint-9", "checkpoint-10", file="adapter_config.json")
    (tmp_path / "run" / "checkpoint-10" / "optimizer.pt").touch()
    found = find_heads(settings, tmp_path / "run")
    assert [path.name for path in found.paths] == ["checkpoint-10"]
    assert "checkpoint-9" in " ".join(found.notices)


def test_a_run_of_the_whole_network_holds_no_head(tmp_path: Path, settings: Settings) -> None:
    save(tmp_path / "run", "checkpoint-10")
    (tmp_path / "run" / "checkpoint-10" / "optimizer.pt").touch()
    with pytest.raises(ConfigError, match="holds no infer_head"):
        find_heads(settings, tmp_path / "run")


def test_the_one_file_of_a_named_folder_is_taken_whatever_its_name(
    tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "run").mkdir()
    for name in ("last.ckpt", "optimizer.pt", "training_args.bin"):
        (tmp_path / "run" / name).touch()
    assert find_backbone_weights(settings, tmp_path / "run").path.name == "last.ckpt"
