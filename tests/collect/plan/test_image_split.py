"""The splits of a config: folds and groups, against a plain account of what training draws."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.collect.plan.request import ExtractionRequest, plan_extraction
from analysis.errors import ConfigError
from tests.factories.projects import TARGETS, make_project

N = 37
SITES = [(f"2015/{1 + (number * 7) % 5}/3", "VIC" if number % 3 else "NSW") for number in range(N)]


def make(project: Path, columns: bool = True, **changes: Any) -> Path:
    make_project(project, images=1, lora=False, train_all=False, changes=changes)
    header = ["sample_id", "image_path", "target_name", "target"]
    header += ["Sampling_Date", "State"] if columns else []
    with (project / "data" / "train.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(header)
        for number, site in enumerate(SITES):
            for target in TARGETS:
                row = [f"ID{number:03d}__{target}", "train/ID0000.jpg", target, 1.0]
                rows.writerow([*row, *(site if columns else ())])
    return project


def listed(project: Path, split: str, fold: int | None = None) -> set[int]:
    request = ExtractionRequest(project_dir=project, split=split, fold=fold)
    entries = plan_extraction(request).images.entries
    return {int(entry.image_id.removeprefix("ID")) for entry in entries}


def expected_groups(k: int) -> list[set[int]]:
    """Give whole groups, shuffled, to the smallest fold."""
    names = sorted({f"{date}__{state}" for date, state in SITES})
    order = np.arange(len(names))
    np.random.default_rng(42).shuffle(order)
    folds: list[set[int]] = [set() for _ in range(k)]
    for place in order:
        members = {i for i, site in enumerate(SITES) if "__".join(site) == names[place]}
        smallest = min(range(k), key=lambda fold: len(folds[fold]))
        folds[smallest] |= members
    return folds


@pytest.mark.parametrize("grouped", [True, None])
def test_folds_keep_groups_together_unless_the_config_says_not_to(
    tmp_path: Path, grouped: bool | None
) -> None:
    project = make(tmp_path, kfold={"k": 3, "group_by_date_state": grouped})
    for fold, held_out in enumerate(expected_groups(3)):
        assert listed(project, "val", fold) == held_out
        assert listed(project, "train", fold) == set(range(N)) - held_out


@pytest.mark.parametrize("columns", [True, False])
def test_folds_of_single_images_are_parts_of_one_order(tmp_path: Path, columns: bool) -> None:
    section = {"k": 4, "group_by_date_state": False} if columns else {"k": 4}
    project = make(tmp_path, columns=columns, kfold=section)
    order = np.arange(N)
    np.random.default_rng(42).shuffle(order)
    for fold, part in enumerate(np.array_split(order, 4)):
        assert listed(project, "val", fold) == set(part.tolist())


def test_even_halves_are_drawn_anew_for_each_fold(tmp_path: Path) -> None:
    section = {"k": 3, "even_split": True, "group_by_date_state": False}
    project = make(tmp_path, kfold=section)
    rng = np.random.default_rng(42)
    for fold in range(3):
        order = rng.permutation(np.arange(N))
        assert listed(project, "train", fold) == set(order[: N // 2].tolist())


def test_even_halves_of_groups_never_part_a_group(tmp_path: Path) -> None:
    project = make(tmp_path, kfold={"k": 3, "even_split": True})
    parts = [listed(project, "train", fold) for fold in range(3)]
    assert all(0 < len(part) <= N // 2 for part in parts)
    assert len({frozenset(part) for part in parts}) > 1
    for part in parts:
        assert not {SITES[i] for i in part} & {SITES[i] for i in set(range(N)) - part}


def test_the_single_split_keeps_groups_together_where_asked(tmp_path: Path) -> None:
    project = make(tmp_path, kfold={"group_by_date_state": True})
    held_out, kept = listed(project, "val"), listed(project, "train")
    assert held_out | kept == set(range(N))
    assert not {SITES[i] for i in held_out} & {SITES[i] for i in kept}
    assert len(held_out) >= int(N * 0.2)


@pytest.mark.parametrize("section", [None, {"k": 3}, {"group_by_date_state": False}])
def test_without_that_key_the_single_split_is_of_images(
    tmp_path: Path, section: dict[str, Any] | None
) -> None:
    changes: dict[str, Any] = {} if section is None else {"kfold": section}
    project = make(tmp_path, columns=True, **changes)
    order = np.arange(N)
    np.random.default_rng(42).shuffle(order)
    assert listed(project, "val") == set(order[: int(N * 0.2)].tolist())


def test_missing_columns_are_said(tmp_path: Path) -> None:
    project = make(tmp_path, columns=False, kfold={"group_by_date_state": True})
    notices = plan_extraction(ExtractionRequest(project_dir=project)).notices
    assert [text for text in notices if "Sampling_Date or State" in text]


def test_a_config_of_folds_asks_to_name_one(tmp_path: Path) -> None:
    project = make(tmp_path, kfold={"enabled": True, "k": 3})
    notices = plan_extraction(ExtractionRequest(project_dir=project)).notices
    assert [text for text in notices if "--fold 0 to 2" in text]
    plan = plan_extraction(ExtractionRequest(project_dir=project, fold=1))
    assert not [text for text in plan.notices if "--fold" in text]
    assert plan.output.parts[-3:-1] == ("fold_1", "feature_stats")


@pytest.mark.parametrize(("section", "fold"), [({"k": 3}, 3), (None, 0), ({"k": 3}, -1)])
def test_a_fold_that_is_not_there_is_refused(
    tmp_path: Path, section: dict[str, Any] | None, fold: int
) -> None:
    changes: dict[str, Any] = {} if section is None else {"kfold": section}
    project = make(tmp_path, columns=True, **changes)
    with pytest.raises(ConfigError, match="--fold"):
        plan_extraction(ExtractionRequest(project_dir=project, fold=fold))


@pytest.mark.parametrize("folder", ["outputs", "outputs/v1"])
def test_a_fold_that_training_recorded_is_taken_as_it_is(tmp_path: Path, folder: str) -> None:
    project = make(tmp_path, kfold={"k": 3})
    place = project / folder / "folds" / "fold_1"
    place.mkdir(parents=True)
    for part, numbers in (("val", (3, 30, 99)), ("train", range(4, 20))):
        rows = [f"ID{number:03d},train/ID0000.jpg" for number in numbers]
        (place / f"{part}.csv").write_text("\n".join(["image_id,image_path", *rows]))
    assert listed(project, "val", 1) == {3, 30}
    assert listed(project, "train", 1) == set(range(4, 20))
    assert listed(project, "val", 0) == expected_groups(3)[0]
    request = ExtractionRequest(project_dir=project, split="val", fold=1)
    notices = " ".join(plan_extraction(request).images.notices)
    assert f"recorded in {place}; 1 of its 3 images are not here" in notices


@pytest.mark.parametrize("text", ["image_id\nID003", "image_id,image_path\nother,o.jpg", ""])
def test_a_record_that_cannot_be_used_is_said_and_the_fold_is_drawn(
    tmp_path: Path, text: str
) -> None:
    project = make(tmp_path, kfold={"k": 3})
    place = project / "outputs" / "folds" / "fold_0"
    place.mkdir(parents=True)
    for part in ("train", "val"):
        (place / f"{part}.csv").write_text(text)
    assert listed(project, "val", 0) == expected_groups(3)[0]
    request = ExtractionRequest(project_dir=project, split="val", fold=0)
    notices = " ".join(plan_extraction(request).images.notices)
    assert "drawn anew instead" in notices
