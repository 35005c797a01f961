"""Heads of several versions and epochs: the right one, and the others by name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from analysis.collect.plan.request import ExtractionPlan, ExtractionRequest, plan_extraction
from analysis.errors import ConfigError
from tests.factories.projects import make_project


def plan(project: Path, *heads: str, version: str = "v1", **changes: Any) -> ExtractionPlan:
    make_project(project, images=1, lora=False, version=version, changes=changes)
    for number, head in enumerate(heads):
        path = project / "weights" / "head" / head
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path.parent, (number, number))
    return plan_extraction(ExtractionRequest(project_dir=project))


def head_of(found: ExtractionPlan) -> str | None:
    base = found.settings.project_dir / "weights" / "head"
    return found.head_path and found.head_path.relative_to(base).as_posix()


def test_the_folder_of_the_config_s_version_is_taken(tmp_path: Path) -> None:
    found = plan(tmp_path, "v1/infer_head.pt", "v2/infer_head.pt")
    assert head_of(found) == "v1/infer_head.pt"
    assert not [text for text in found.notices if "v2" in text]


def test_without_one_the_newest_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    changes = {"peft.enabled": True}
    found = plan(tmp_path, "b/infer_head.pt", "a/infer_head.pt", version="v1", **changes)
    assert head_of(found) == "a/infer_head.pt"
    assert [text for text in found.notices if "heads of a, b" in text]
    assert [text for text in found.notices if "version a" in text and "version v1" in text]


def test_a_config_without_adapter_takes_no_other_version_s_head(tmp_path: Path) -> None:
    found = plan(tmp_path, "b/infer_head.pt")
    assert head_of(found) is None
    assert [text for text in found.notices if "none is used" in text]


def test_the_latest_epoch_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    found = plan(tmp_path, "head-epoch9.pt", "head-epoch10.pt", "head-epoch2.pt")
    assert head_of(found) == "head-epoch10.pt"
    assert [text for text in found.notices if "head-epoch9.pt, head-epoch2.pt" in text]


def write_ensemble(project: Path, *paths: str) -> None:
    (project / "weights/head").mkdir(parents=True)
    (project / "configs").mkdir()
    heads = {"heads": [{"path": path} for path in paths]}
    (project / "weights/head/ensemble.json").write_text(json.dumps(heads))
    (project / "configs/ensemble.json").write_text(json.dumps({"enabled": True}))


def test_the_head_of_another_version_is_a_warning(tmp_path: Path) -> None:
    write_ensemble(tmp_path, "vA/infer_head.pt", "vB/infer_head.pt")
    found = plan(tmp_path, "vA/infer_head.pt", "vB/infer_head.pt", version="vB")
    assert head_of(found) == "vA/infer_head.pt"
    assert [text for text in found.notices if "version vA" in text and "version vB" in text]


def test_an_ensemble_may_list_plain_paths_as_an_editor_of_windows_saves_it(tmp_path: Path) -> None:
    write_ensemble(tmp_path, "b.pt")
    listing = tmp_path / "weights/head/ensemble.json"
    listing.write_text(json.dumps({"heads": ["b.pt"]}), encoding="utf-8-sig")
    assert head_of(plan(tmp_path, "a.pt", "b.pt")) == "b.pt"


def test_an_ensemble_lists_no_head_outside_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.pt").touch()
    write_ensemble(tmp_path / "p", str(tmp_path / "elsewhere.pt"))
    with pytest.raises(ConfigError, match="outside"):
        plan(tmp_path / "p")


def test_a_fold_takes_its_own_head(tmp_path: Path) -> None:
    heads = [f"fold_{fold}/infer_head.pt" for fold in range(3)]
    plan(tmp_path, *heads, kfold={"k": 3, "group_by_date_state": False})
    for image in range(1, 6):
        (tmp_path / f"data/train/ID{image:04d}.jpg").touch()
    request = ExtractionRequest(project_dir=tmp_path, fold=2, split="all")
    found = plan_extraction(request)
    assert head_of(found) == "fold_2/infer_head.pt"
