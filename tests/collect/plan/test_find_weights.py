"""Which weights and heads are chosen, and what is said where none or several fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.collect.plan.find_weights import find_backbone_weights, find_heads
from analysis.collect.plan.request import ExtractionRequest, fill_request
from analysis.collect.plan.settings import Settings, load_settings
from analysis.errors import ConfigError
from tests.factories.projects import set_key, write_config


def project_settings(project: Path, backbone: str = "dinov3_vits16", **changes: Any) -> Settings:
    config: dict[str, Any] = {
        "data": {"root": "data", "image_size": 64},
        "model": {"backbone": backbone},
    }
    for dotted, value in changes.items():
        set_key(config, dotted.replace("__", "."), value)
    write_config(project, config)
    return load_settings(project)


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("backbone", "name"),
    [
        ("dinov3_vits16", "dinov3_vits16_pretrain_lvd1689m-08c60483.pth"),
        ("dinov3_vits16", "dinov3_vits16.pt"),
        ("dinov3_vits16", "dinov3_vits16-mine.PT"),
        ("dinov3_vits16", "dinov3-vits16-pretrain-lvd1689m.safetensors"),
        ("dinov3_vits16plus", "dinov3_vits16plus_pretrain_lvd1689m-4057cbaa.pt"),
        ("dinov3_vith16plus", "dinov3_vith16plus_pretrain_lvd1689m-7c1da9a5.pt"),
    ],
)
def test_weights_are_found_by_the_name_of_the_backbone(
    backbone: str, name: str, tmp_path: Path
) -> None:
    touch(tmp_path / "weights" / name)
    found = find_backbone_weights(project_settings(tmp_path, backbone))
    assert found.path == tmp_path / "weights" / name
    assert found.notices == ()


@pytest.mark.parametrize(
    "name",
    [
        "dinov3_vits16plus_pretrain_lvd1689m-4057cbaa.pth",
        "dinov3_vits160.pt",
        "dinov3_vitb16.pt",
        "my_dinov3_vits16.pt",
        "dinov3_vits16.txt",
        "dinov3_vits16.pt.tmp",
        "dinov3_vits16/readme.md",
    ],
)
def test_other_files_are_not_taken_for_weights(name: str, tmp_path: Path) -> None:
    touch(tmp_path / "weights" / name)
    with pytest.raises(ConfigError) as caught:
        find_backbone_weights(project_settings(tmp_path))
    assert Path(name).parts[0] in str(caught.value)
    assert "dinov3_weights does not exist" in str(caught.value)
    assert "--dino-weights-pt" in str(caught.value)


def test_several_fitting_weights_are_an_error_that_lists_them(tmp_path: Path) -> None:
    touch(tmp_path / "weights" / "dinov3_vits16_a.pt", tmp_path / "weights" / "dinov3_vits16_b.pth")
    with pytest.raises(ConfigError, match=r"dinov3_vits16_a\.pt, dinov3_vits16_b\.pth; name one"):
        find_backbone_weights(project_settings(tmp_path))


def test_dinov3_weights_is_searched_before_weights(tmp_path: Path) -> None:
    touch(tmp_path / "weights" / "dinov3_vits16_a.pt")
    touch(tmp_path / "dinov3_weights" / "dinov3_vitb16.pt")
    settings = project_settings(tmp_path)
    assert find_backbone_weights(settings).path.name == "dinov3_vits16_a.pt"
    touch(tmp_path / "dinov3_weights" / "dinov3_vits16_b.pt")
    assert find_backbone_weights(settings).path.name == "dinov3_vits16_b.pt"


def test_folder_saved_by_transformers_counts_as_weights(tmp_path: Path) -> None:
    folder = tmp_path / "weights" / "dinov3-vits16-pretrain-lvd1689m"
    touch(folder / "config.json")
    with pytest.raises(ConfigError):
        find_backbone_weights(project_settings(tmp_path))
    touch(folder / "model.safetensors")
    assert find_backbone_weights(project_settings(tmp_path)).path == folder


def test_weights_path_of_the_config_is_used_where_it_exists(tmp_path: Path) -> None:
    touch(tmp_path / "weights" / "dinov3_vits16.pt", tmp_path / "mine" / "any_name.pt")
    settings = project_settings(tmp_path, model__weights_path="mine/any_name.pt")
    assert find_backbone_weights(settings).path == tmp_path / "mine" / "any_name.pt"
    assert find_backbone_weights(settings).notices == ()


def test_weights_path_of_another_machine_is_skipped_with_a_notice(tmp_path: Path) -> None:
    touch(tmp_path / "weights" / "dinov3_vits16.pt")
    settings = project_settings(tmp_path, model__weights_path="/cluster/dinov3_vits16.pt")
    found = find_backbone_weights(settings)
    assert found.path == tmp_path / "weights" / "dinov3_vits16.pt"
    assert len(found.notices) == 1
    assert "/cluster/dinov3_vits16.pt does not exist here" in found.notices[0]


def test_typed_weights_win_and_resolve_against_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    touch(project / "named.pt", elsewhere / "typed.pt", project / "typed.pt")
    settings = project_settings(project, analysis__dino_weights_pt="named.pt")
    monkeypatch.chdir(elsewhere)
    named = fill_request(ExtractionRequest(), settings).dino_weights_pt
    assert find_backbone_weights(settings, named).path == project / "named.pt"
    assert find_backbone_weights(settings, Path("typed.pt")).path == elsewhere / "typed.pt"


def test_typed_weights_that_are_missing_are_an_error(tmp_path: Path) -> None:
    touch(tmp_path / "weights" / "dinov3_vits16.pt")
    with pytest.raises(ConfigError, match=r"gone\.pt do not exist; correct --dino-weights-pt"):
        find_backbone_weights(project_settings(tmp_path), tmp_path / "gone.pt")


def test_typed_folder_is_searched_for_the_backbone(tmp_path: Path) -> None:
    touch(tmp_path / "store" / "dinov3_vits16_a.pt", tmp_path / "store" / "dinov3_vitb16_a.pt")
    found = find_backbone_weights(project_settings(tmp_path), tmp_path / "store")
    assert found.path == tmp_path / "store" / "dinov3_vits16_a.pt"


def test_no_head_anywhere_means_the_frozen_backbone(tmp_path: Path) -> None:
    found = find_heads(project_settings(tmp_path))
    assert (found.base, found.paths, found.notices) == (None, (), ())


def test_empty_default_folder_means_the_frozen_backbone_with_a_notice(tmp_path: Path) -> None:
    (tmp_path / "weights" / "head").mkdir(parents=True)
    found = find_heads(project_settings(tmp_path))
    assert (found.base, found.paths) == (None, ())
    assert "frozen" in found.notices[0]


@pytest.mark.parametrize("word", ["none", "None", "NONE"])
def test_none_means_the_frozen_backbone_whatever_is_there(word: str, tmp_path: Path) -> None:
    touch(tmp_path / "weights" / "head" / "infer_head.pt")
    settings = project_settings(tmp_path)
    assert find_heads(settings).base == tmp_path / "weights" / "head"
    assert find_heads(settings, word).base is None
    settings = project_settings(tmp_path, analysis__head_weights=word)
    assert (
        find_heads(settings, fill_request(ExtractionRequest(), settings).head_weights).base is None
    )


def test_typed_head_wins_over_the_config(tmp_path: Path) -> None:
    touch(tmp_path / "a.pt", tmp_path / "weights" / "head" / "infer_head.pt")
    settings = project_settings(tmp_path, analysis__head_weights="none")
    found = find_heads(settings, tmp_path / "a.pt")
    assert (found.base, found.paths) == (tmp_path / "a.pt", (tmp_path / "a.pt",))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            ["infer_head.pt", "fold_0/infer_head.pt", "a.pt"], ["infer_head.pt"], id="infer_head"
        ),
        pytest.param(
            ["fold_10/infer_head.pt", "fold_2/infer_head.pt", "fold_1/other.pt", "a.pt"],
            ["fold_2/infer_head.pt", "fold_10/infer_head.pt"],
            id="folds by number",
        ),
        pytest.param(["b.pt", "a.pt", "c.txt"], ["a.pt", "b.pt"], id="any .pt"),
        pytest.param(["adapter_config.json", "infer_head.pt"], [""], id="peft folder"),
    ],
)
def test_heads_in_a_folder_are_found_in_the_documented_order(
    files: list[str], expected: list[str], tmp_path: Path
) -> None:
    base = tmp_path / "weights" / "head"
    touch(*(base / name for name in files))
    found = find_heads(project_settings(tmp_path))
    assert found.base == base
    assert found.paths == tuple(base / name for name in expected)


def write_ensemble(project: Path, enabled: bool, heads: Any) -> None:
    touch(project / "weights" / "head" / "infer_head.pt", project / "configs" / "ensemble.json")
    (project / "configs" / "ensemble.json").write_text(json.dumps({"enabled": enabled}))
    (project / "weights" / "head" / "ensemble.json").write_text(json.dumps({"heads": heads}))


def test_enabled_ensemble_lists_the_heads_in_its_order(tmp_path: Path) -> None:
    base = tmp_path / "weights" / "head"
    touch(base / "b" / "infer_head.pt", base / "a" / "infer_head.pt")
    write_ensemble(tmp_path, True, [{"path": "b/infer_head.pt"}, {"path": "a/infer_head.pt"}])
    found = find_heads(project_settings(tmp_path))
    assert found.base == base
    assert found.paths == (base / "b" / "infer_head.pt", base / "a" / "infer_head.pt")


def test_disabled_ensemble_is_not_used(tmp_path: Path) -> None:
    write_ensemble(tmp_path, False, [{"path": "gone.pt"}])
    found = find_heads(project_settings(tmp_path))
    assert found.paths == (tmp_path / "weights" / "head" / "infer_head.pt",)


def test_enabled_ensemble_without_a_list_is_noticed(tmp_path: Path) -> None:
    write_ensemble(tmp_path, True, [])
    (tmp_path / "weights" / "head" / "ensemble.json").unlink()
    found = find_heads(project_settings(tmp_path))
    assert found.paths == (tmp_path / "weights" / "head" / "infer_head.pt",)
    assert "ensemble.json does not exist" in found.notices[0]


@pytest.mark.parametrize("heads", [[{"path": "gone.pt"}], [], None, ["a.pt"], [{"path": 3}]])
def test_ensemble_that_names_no_usable_head_is_an_error(heads: Any, tmp_path: Path) -> None:
    write_ensemble(tmp_path, True, heads)
    with pytest.raises(ConfigError, match=r"ensemble\.json: heads"):
        find_heads(project_settings(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_unreadable_ensemble_switch_is_an_error(text: str, tmp_path: Path) -> None:
    write_ensemble(tmp_path, True, [])
    (tmp_path / "configs" / "ensemble.json").write_text(text)
    with pytest.raises(ConfigError, match=r"configs/ensemble\.json"):
        find_heads(project_settings(tmp_path))


def test_typed_head_folder_without_heads_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"infer_head\.pt.*--head-weights"):
        find_heads(project_settings(tmp_path), tmp_path / "empty")


def test_typed_head_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.pt do not exist.*--head-weights"):
        find_heads(project_settings(tmp_path), "gone.pt")
