"""Training configs: what is read, where outputs go, and what a wrong one is told."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings, strategies

from analysis.collect.plan.settings import IMAGENET_MEAN, IMAGENET_STD, load_settings
from analysis.errors import ConfigError
from tests.factories.projects import set_key, write_config

TRAINING_CONFIG = """
seed: 7
version: manifold-mixup-disable
data:
  root: data/csiro
  train_csv: train.csv
  image_size: [960, 480]
  batch_size: 2
  num_workers: 8
  prefetch_factor: 4
  val_split: 0.1
  shuffle: true
  target_order: [Dry_Clover_g, Dry_Dead_g, Dry_Green_g]
  augment: {horizontal_flip_prob: 0.5, manifold_mixup: {enabled: false}}
  normalization: {mean: [0.4, 0.5, 0.6], std: [0.1, 0.2, 0.3]}
model:
  backbone: dinov3_vith16plus
  weights_url: null
  weights_path: dinov3_weights/dinov3_vith16plus_pretrain_lvd1689m-7c1da9a5.pt
  backbone_layers: {enabled: true, indices: [7, 15, 23, 31]}
train_all: {enabled: true}
peft: {enabled: true, r: 8, lora_alpha: 16, target_modules: [qkv, proj], use_dora: false}
logging: {log_dir: outputs, ckpt_dir: checkpoints}
collected: 2025-11-03
"""


def minimal() -> dict[str, Any]:
    return {
        "data": {"root": "data", "image_size": [64, 32]},
        "model": {"backbone": "dinov3_vits16"},
    }


def load_with(tmp_path: Path, **changes: Any) -> Any:
    config = minimal()
    for dotted, value in changes.items():
        set_key(config, dotted.replace("__", "."), value)
    write_config(tmp_path, config)
    return load_settings(tmp_path)


def load_text(tmp_path: Path, text: str | bytes) -> Any:
    path = tmp_path / "configs" / "train.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_settings(tmp_path)


def refusal(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text)
    message = str(caught.value)
    assert "\n" not in message
    assert "train.yaml" in message
    return message


def test_training_config_is_read_as_it_is_meant(tmp_path: Path) -> None:
    found = load_text(tmp_path, TRAINING_CONFIG)
    assert found.project_dir == tmp_path
    assert found.config_path == tmp_path / "configs" / "train.yaml"
    assert found.version == "manifold-mixup-disable"
    assert found.backbone_name == "dinov3_vith16plus"
    assert found.image_size == (960, 480)
    assert (found.mean, found.std) == ((0.4, 0.5, 0.6), (0.1, 0.2, 0.3))
    assert found.data_root == tmp_path / "data/csiro"
    assert found.train_csv == tmp_path / "data/csiro/train.csv"
    assert (found.val_split, found.seed, found.train_all) == (0.1, 7, True)
    assert found.target_order == ("Dry_Clover_g", "Dry_Dead_g", "Dry_Green_g")
    assert found.tapped_layers == (7, 15, 23, 31)
    assert found.weights_path == tmp_path / (
        "dinov3_weights/dinov3_vith16plus_pretrain_lvd1689m-7c1da9a5.pt"
    )
    assert found.notices == ()


def test_whole_config_is_kept_in_plain_types(tmp_path: Path) -> None:
    text = TRAINING_CONFIG + "tags: !!set {a, b}\nraw: !!binary aGVsbG8=\nat: 2025-11-03 10:00:00\n"
    found = load_text(tmp_path, text)
    assert found.config["collected"] == "2025-11-03"
    assert found.config["at"] == "2025-11-03 10:00:00"
    assert found.config["raw"] == "aGVsbG8="
    assert found.config["data"]["augment"]["manifold_mixup"] == {"enabled": False}
    torch.save(found.config, tmp_path / "config.pt")
    assert torch.load(tmp_path / "config.pt", weights_only=True) == found.config


def test_absent_keys_have_the_documented_defaults(tmp_path: Path) -> None:
    found = load_with(tmp_path)
    assert (found.mean, found.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert IMAGENET_MEAN == (0.485, 0.456, 0.406)
    assert IMAGENET_STD == (0.229, 0.224, 0.225)
    assert (found.seed, found.val_split, found.train_all) == (42, None, False)
    assert (found.train_csv, found.weights_path, found.version) == (None, None, None)
    assert (found.target_order, found.tapped_layers, dict(found.analysis)) == ((), (), {})


@pytest.mark.parametrize(
    ("version", "log_dir", "train_all", "expected"),
    [
        pytest.param("v1", None, True, "outputs/v1/train_all", id="version and train_all"),
        pytest.param("v1", None, False, "outputs/v1", id="version"),
        pytest.param(None, None, False, "outputs", id="neither"),
        pytest.param(None, None, True, "outputs/train_all", id="train_all"),
        pytest.param("", None, False, "outputs", id="empty version"),
        pytest.param("v1", "logs/runs", False, "logs/runs/v1", id="other log_dir"),
        pytest.param(3, None, False, "outputs/3", id="whole number"),
        pytest.param(0, None, False, "outputs/0", id="zero is a version"),
    ],
)
def test_default_output_follows_the_specification(
    version: Any, log_dir: str | None, train_all: bool, expected: str, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"version": version, "logging.log_dir": log_dir}
    found = load_with(tmp_path, **changes, train_all={"enabled": train_all})
    name = "feature_stats/dinov3_feature_stats.pt"
    assert found.default_output == tmp_path / expected / name


def test_absolute_log_dir_is_kept(tmp_path: Path) -> None:
    found = load_with(tmp_path, logging__log_dir="/scratch/runs", version="a")
    assert found.default_output.parent == Path("/scratch/runs/a/feature_stats")


def test_version_that_yaml_reads_as_another_number_is_noticed(tmp_path: Path) -> None:
    found = load_text(tmp_path, "version: 1.10\n" + yaml.safe_dump(minimal()))
    assert found.version == "1.1"
    assert found.config["version"] == 1.1
    assert len(found.notices) == 1
    assert "1.10" in found.notices[0]
    assert "quotes" in found.notices[0]


@pytest.mark.parametrize("text", ["1.5", "'1.10'", "7", "v1", "null"])
def test_version_that_yaml_reads_as_written_is_not_noticed(text: str, tmp_path: Path) -> None:
    found = load_text(tmp_path, f"version: {text}\n" + yaml.safe_dump(minimal()))
    assert found.notices == ()


@pytest.mark.parametrize(
    "version",
    ["..", ".", "a/b", "../x", "a\\b", "/etc", "a\0b", "a\nb", "x" * 300, ["a"], True, {"a": 1}],
)
def test_version_that_is_no_folder_name_is_refused(version: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"version is .*; expected"):
        load_with(tmp_path, version=version)


@pytest.mark.parametrize("key", ["data.root", "data.image_size", "model.backbone", "data", "model"])
def test_missing_key_is_named(key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"train\.yaml: the key {key}\S* is missing"):
        load_with(tmp_path, **{key: None})


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("data", 5, "a mapping"),
        ("train_all", True, "a mapping"),
        ("data.root", ["a"], "a path"),
        ("data.root", "${paths.data}", "not filled in"),
        ("data.image_size", "big", r"\[width, height\]"),
        ("data.image_size", [960], r"\[width, height\]"),
        ("data.image_size", [960.5, 480], r"\[width, height\]"),
        ("data.image_size", [960, True], r"\[width, height\]"),
        ("data.image_size", 8, "from 16"),
        ("data.image_size", [64, 10**9], "to 16384"),
        ("data.val_split", 1.0, "up to but not including 1"),
        ("data.val_split", -0.1, "from 0"),
        ("data.val_split", "1e-1", "1.0e-3"),
        ("data.val_split", float("nan"), "a number"),
        ("data.target_order", "Dry_Green_g", "a list of texts"),
        ("data.normalization", {"mean": [0.5, 0.5], "std": [1, 1, 1]}, "three numbers"),
        ("data.normalization", {"mean": [0, 0, 0], "std": [1, 0, 1]}, "above 0"),
        ("seed", -1, "0 or more"),
        ("seed", True, "whole number"),
        ("train_all.enabled", "yes", "true or false"),
        ("logging.log_dir", 3, "a path"),
        ("model.backbone", "dinov3_vitx", "dinov3_vith16plus"),
        ("model.backbone", "dinov3_convnext_tiny", "ConvNeXt"),
        ("model.backbone_layers", {"enabled": True, "indices": [1.5]}, "a whole number"),
        ("analysis", ["cpu"], "a mapping"),
        ("analysis.precision", "fp8", "auto, fp32, tf32, bf16"),
        ("analysis.split", "test", "train, val, all"),
        ("analysis.device", "tpu", "cuda:N"),
        ("analysis.batch_size", 0, "1 or more"),
        ("analysis.num_workers", -1, "0 or more"),
        ("analysis.max_images", 2.5, "whole number"),
    ],
)
def test_wrong_value_is_told_with_key_value_and_expectation(
    key: str, value: Any, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"train\.yaml: {key}\S* is .*; expected .*{expected}"):
        load_with(tmp_path, **{key: value})


def test_normalization_without_std_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the key data\.normalization\.std is missing"):
        load_with(tmp_path, data__normalization={"mean": [0.5, 0.5, 0.5]})


def test_image_size_is_width_then_height(tmp_path: Path) -> None:
    assert load_with(tmp_path, data__image_size=[960, 480]).image_size == (960, 480)
    assert load_with(tmp_path, data__image_size=256).image_size == (256, 256)


def test_tapped_layers_are_empty_where_disabled(tmp_path: Path) -> None:
    found = load_with(tmp_path, model__backbone_layers={"enabled": False, "indices": [1, 2]})
    assert found.tapped_layers == ()


def test_analysis_section_gives_flag_defaults(tmp_path: Path) -> None:
    section = {
        "dino_weights_pt": "w/a.pt",
        "head_weights": "None",
        "precision": "bf16",
        "batch_size": 4,
        "split": None,
    }
    found = load_with(tmp_path, analysis=section)
    assert dict(found.analysis) == {
        "dino_weights_pt": str(tmp_path / "w/a.pt"),
        "head_weights": "none",
        "precision": "bf16",
        "batch_size": 4,
    }


def test_unknown_analysis_key_is_named_beside_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"analysis\.max_image; .*max_images"):
        load_with(tmp_path, analysis={"max_image": 3})


def test_csv_beside_the_configs_is_found_where_data_root_has_none(tmp_path: Path) -> None:
    (tmp_path / "train.csv").touch()
    assert load_with(tmp_path, data__train_csv="train.csv").train_csv == tmp_path / "train.csv"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").touch()
    found = load_with(tmp_path, data__train_csv="train.csv")
    assert found.train_csv == tmp_path / "data" / "train.csv"


def test_typed_config_resolves_against_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    snapshot = elsewhere / "outputs" / "v1" / "train.yaml"
    snapshot.parent.mkdir(parents=True)
    snapshot.write_text(yaml.safe_dump(minimal()))
    monkeypatch.chdir(elsewhere)
    found = load_settings(Path("../project"), Path("outputs/v1/train.yaml"))
    assert found.config_path == snapshot
    assert found.data_root == project / "data"


def test_missing_config_lists_those_that_are_there(tmp_path: Path) -> None:
    write_config(tmp_path, minimal(), "train_frozen.yaml")
    with pytest.raises(ConfigError, match=r"train_frozen\.yaml.*--config"):
        load_settings(tmp_path)


def test_missing_project_dir_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.*--project-dir"):
        load_settings(tmp_path / "nowhere")


def test_malformed_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    message = refusal(tmp_path, "a: 1\nb: 2\nc: [1,\n2\nd: 3\n")
    assert "line 5" in message
    assert "begins on line 3" in message


def test_tag_that_would_build_an_object_is_refused_with_its_line(tmp_path: Path) -> None:
    message = refusal(tmp_path, "a: 1\nb: !!python/object/apply:os.system ['touch x']\n")
    assert "line 2" in message
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("# nothing\n", "is empty", id="comment"),
        pytest.param("- a\n- b\n", "holds a list", id="list"),
        pytest.param("just text", "holds a str", id="text"),
        pytest.param("a: 1\n---\nb: 2\n", "line 2", id="two documents"),
        pytest.param(b"a: 1\nb: \xff\xfe\n", "line 2", id="not UTF-8"),
        pytest.param("a: \x07\n", "not valid YAML", id="control character"),
        pytest.param("a: 2024-13-45\n", "month", id="impossible date"),
        pytest.param("a: " + "9" * 5000 + "\n", "100 digits", id="endless number"),
        pytest.param("a: " + "x" * 1_100_000, "larger than", id="large"),
        pytest.param("a: " + "[" * 200_000, "levels deep", id="deep flow"),
        pytest.param("a: &a [*a]\n", "contains it", id="recursive alias"),
        pytest.param(
            "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 3000)),
            "levels",
            id="chain of aliases",
        ),
        pytest.param(
            "a0: &a0 [x, x]\n"
            + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40)),
            "expand",
            id="billion laughs",
        ),
        pytest.param(
            "a0: &a0 {x: 1}\n"
            + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 40)),
            "expand",
            id="billion merges",
        ),
    ],
)
@pytest.mark.timeout(60)
def test_file_that_is_no_config_is_refused(text: str | bytes, said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path, text)


def test_ordinary_aliases_and_merges_are_read(tmp_path: Path) -> None:
    text = "base: &base {root: data, image_size: 64}\ndata: {<<: *base, val_split: 0.5}\n"
    found = load_text(tmp_path, text + "model: {backbone: dinov3_vits16}\n")
    assert (found.image_size, found.val_split) == ((64, 64), 0.5)


KEYS = [
    "seed", "version", "data", "data.root", "data.train_csv", "data.image_size", "data.val_split",
    "data.target_order", "data.normalization", "data.normalization.mean", "model",
    "model.backbone", "model.weights_path", "model.backbone_layers.indices", "train_all",
    "train_all.enabled", "logging.log_dir", "analysis", "analysis.head_weights",
    "analysis.batch_size",
]  # fmt: skip
VALUES = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.dates()
    | strategies.text(max_size=5),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(strategies.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(key=strategies.sampled_from(KEYS), value=VALUES)
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_value_of_any_key_escapes_as_another_error(key: str, value: Any, tmp_path: Path) -> None:
    config = minimal()
    config["model"]["backbone_layers"] = {"enabled": True}
    set_key(config, key, value)
    write_config(tmp_path, config)
    with contextlib.suppress(ConfigError):
        found = load_settings(tmp_path)
        assert found.default_output.is_relative_to(found.log_dir)


@pytest.mark.parametrize(
    "module",
    ["config_file", "config_values", "settings", "find_weights", "image_csv", "image_list"],
)
def test_reading_inputs_does_not_import_torch(module: str) -> None:
    code = f"import sys, analysis.collect.plan.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("key", "attribute"),
    [
        ("data__root", "data_root"),
        ("data__train_csv", "train_csv"),
        ("model__weights_path", "weights_path"),
        ("logging__log_dir", "log_dir"),
    ],
)
@pytest.mark.parametrize("written", ["~/x", "$PLACE/x", "${PLACE}/x"])
def test_every_path_takes_home_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, attribute: str, written: str
) -> None:
    monkeypatch.setenv("HOME", "/elsewhere")
    monkeypatch.setenv("PLACE", "/elsewhere")
    assert getattr(load_with(tmp_path, **{key: written}), attribute) == Path("/elsewhere/x")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", "${model.backbone}-v1"),
        ("version", "v${now:%Y}"),
        ("data__root", "${paths.data}/csiro"),
        ("data__train_csv", "${csv}"),
        ("data__image_size", "${size}"),
        ("data__image_size", ["${size}", 64]),
        ("data__target_order", ["${targets}"]),
        ("logging__log_dir", "$NOT_SET_ANYWHERE/x"),
        ("model__backbone", "${backbone}"),
        ("seed", "${seed}"),
        ("train_all__enabled", "${all}"),
        ("analysis__group_by", "${column}"),
    ],
)
def test_what_nothing_filled_in_is_refused_by_key(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match="not filled in") as error:
        load_with(tmp_path, **{key: value})
    assert key.replace("__", ".") in str(error.value)


@pytest.mark.parametrize("name", ["dinov3_vits16", "vits16"])
def test_tapped_layers_may_stand_by_backbone(tmp_path: Path, name: str) -> None:
    section = {"enabled": True, "indices": None, "indices_by_backbone": {name: [3, 7], "x": [1]}}
    found = load_with(tmp_path, model__backbone="dinov3_vits16", model__backbone_layers=section)
    assert (found.tapped_layers, found.notices) == ((3, 7), ())
    section["indices"] = [2]
    found = load_with(tmp_path, model__backbone="dinov3_vits16", model__backbone_layers=section)
    assert found.tapped_layers == (2,)


def test_enabled_layers_that_name_none_of_this_backbone_are_said(tmp_path: Path) -> None:
    section = {"enabled": True, "indices_by_backbone": {"dinov3_vitl16": [3]}}
    found = load_with(tmp_path, model__backbone="dinov3_vits16", model__backbone_layers=section)
    assert found.tapped_layers == ()
    assert "dinov3_vits16" in found.notices[0]
