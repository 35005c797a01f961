"""Image groups are contiguous, of even size, and hold the images of one value together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.collect.plan.image_groups import MOST_GROUPS, divide_by_values, divide_list
from analysis.collect.plan.request import ExtractionRequest, plan_extraction
from analysis.errors import ConfigError
from tests.factories.projects import make_project


@given(st.integers(1, 3000))
def test_blocks_are_contiguous_and_of_even_size(images: int) -> None:
    groups = divide_list(images)
    sizes = np.bincount(groups)
    assert len(groups) == images
    assert len(sizes) == min(images, MOST_GROUPS)
    assert (np.diff(groups) >= 0).all()
    assert sizes.max() - sizes.min() <= 1


@given(st.lists(st.integers(0, 90), min_size=2, max_size=400).filter(lambda v: len(set(v)) > 1))
def test_a_value_is_never_divided_and_no_group_is_empty(numbers: list[int]) -> None:
    values = [str(number) for number in numbers]
    groups = divide_by_values(values, "site")
    sizes = np.bincount(groups)
    assert sizes.min() > 0
    assert len(sizes) <= min(MOST_GROUPS, len(set(values)))
    assert all(len({g for g, v in zip(groups, values, strict=True) if v == x}) == 1 for x in values)
    if len(set(values)) <= MOST_GROUPS:
        assert len(sizes) == len(set(values))
    # joined values are neighbours as numbers, not as texts ("9" before "10")
    order = groups[np.argsort(numbers, kind="stable")]
    assert (np.diff(order) >= 0).all()


def test_many_values_make_groups_of_even_size() -> None:
    groups = divide_by_values([f"{value:03d}" for value in range(640)], "date")
    assert np.bincount(groups).tolist() == [20] * MOST_GROUPS


def test_one_value_for_all_images_is_refused() -> None:
    with pytest.raises(ConfigError, match="State has the one value 'Tas' for all 3 images"):
        divide_by_values(["Tas"] * 3, "State")


def with_states(project: Path, states: list[str]) -> Path:
    make_project(
        project,
        images=len(states),
        weights=True,
        lora=False,
        changes={"analysis": {"group_by": "State"}},
    )
    rows = ["sample_id,image_path,State,target_name,target"]
    for number, state in enumerate(states):
        rows += [
            f"ID{number:04d}__{name},train/ID{number:04d}.jpg,{state},{name},1"
            for name in ("Dry_Clover_g", "Dry_Dead_g", "Dry_Green_g")
        ]
    (project / "data" / "train.csv").write_text("\n".join(rows))
    return project


def test_a_column_of_the_csv_makes_the_groups_of_a_run(tmp_path: Path) -> None:
    project = with_states(tmp_path, ["NSW", "Tas", "NSW", "Vic", "Tas"])
    plan = plan_extraction(ExtractionRequest(project_dir=project))
    assert plan.image_groups == (0, 1, 0, 2, 1)


def test_an_image_without_a_value_is_named(tmp_path: Path) -> None:
    project = with_states(tmp_path, ["NSW", "", "NSW"])
    with pytest.raises(ConfigError, match=r"train/ID0001\.jpg has no value in the column State"):
        plan_extraction(ExtractionRequest(project_dir=project))


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    project = make_project(tmp_path, lora=False, changes={"analysis": {"group_by": "Site"}})
    with pytest.raises(ConfigError, match="no column 'Site'; its columns are: sample_id"):
        plan_extraction(ExtractionRequest(project_dir=project))


def test_the_groups_of_a_plan_are_blocks_of_its_list(tmp_path: Path) -> None:
    plan = plan_extraction(ExtractionRequest(project_dir=make_project(tmp_path, images=5)))
    assert plan.image_groups == (0, 1, 2, 3, 4)
