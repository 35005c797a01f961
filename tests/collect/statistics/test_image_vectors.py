"""The vectors of single images that a run writes, against the block outputs themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from analysis import read_features
from analysis.cli.extract import main
from analysis.collect.plan.request import ExtractionRequest, plan_extraction
from analysis.collect.statistics.image_vectors import check_room, choose_images
from analysis.errors import ConfigError
from analysis.payload.features import STORED, features_path
from analysis.vocabulary import Cell, Representation, TokenRole
from tests.collect.run.test_loop import reference
from tests.collect.run.test_ranks import run_ranks
from tests.factories.projects import TARGETS, make_project


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_CACHE", str(tmp_path / "cache"))


def flags(project: Path, output: Path) -> list[str]:
    places = [f"--project-dir={project}", f"--output={output}"]
    return [*places, "--device=cpu", "--num-workers=0", "--quiet", "--batch-size=2"]


def test_vectors_are_those_of_the_block_outputs(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", images=5, lora=False)
    assert main([*flags(project, tmp_path / "a.pt"), "--image-features=3"]) == 0
    features = read_features(tmp_path / "a.pt")
    assert features.images.tolist() == [0, 1, 3]
    assert set(features.targets) == set(TARGETS)
    assert features.targets[TARGETS[0]].tolist() == [0.5, 1.5, 3.5]
    plan = plan_extraction(ExtractionRequest(project_dir=project, device="cpu"))
    for (layer, representation, role), tokens in reference(plan, batch_size=2).items():
        expected = tokens.reshape(5, -1, tokens.shape[-1]).mean(1)[[0, 1, 3]]
        found = features.vectors(Cell(layer, Representation(representation), TokenRole(role)))
        scale = tokens.std(0) + 1e-2 * np.abs(tokens).mean()
        assert (np.abs(found - expected) / scale).max() < 5e-3, (layer, representation, role)


def test_several_ranks_write_the_file_of_one_process(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", images=5, lora=False)
    assert main(flags(project, tmp_path / "one.pt")) == 0
    assert run_ranks(project, tmp_path / "many.pt", 2, "--batch-size=2") == 0
    one, many = (read_features(tmp_path / f"{name}.pt") for name in ("one", "many"))
    assert one.images.tolist() == many.images.tolist() == [0, 1, 2, 3, 4]
    for role, representation in STORED:
        for layer in range(one.table.num_layers):
            np.testing.assert_allclose(
                one.standardized(layer, role, representation),
                many.standardized(layer, role, representation),
                atol=2e-3,
            )


def test_private_columns_and_the_file_itself_can_be_left_out(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", images=3, lora=False)
    output = tmp_path / "a.pt"
    assert main([*flags(project, output), "--no-targets"]) == 0
    features = read_features(output)
    assert (dict(features.targets), dict(features.categories)) == ({}, {})
    assert main([*flags(project, output), "--image-features=0"]) == 0
    assert not features_path(output).exists()


@pytest.mark.parametrize("images", [1, 357, 100_000])
def test_auto_keeps_evenly_spaced_images_that_fit(images: int) -> None:
    keep = choose_images("auto", images, 32, 1280)
    assert len(keep) == min(images, 2**27 // (32 * 3 * 1280 * 2))
    assert torch.equal(keep, keep.unique())
    gaps = keep.diff()
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_more_vectors_than_memory_or_a_readable_file_holds_are_refused_before_the_run() -> None:
    keep = choose_images("all", 100_000, 32, 1280)
    with pytest.raises(
        ConfigError, match=r"100,000 images take .* Give a number up to (\d+)"
    ) as told:
        check_room(keep, 32, 1280, free=16 * 2**30)
    most = int(str(told.value).split("up to ")[-1].split(",")[0])
    assert most * 32 * 3 * 1280 * 12 <= 16 * 2**30 < (most + 2) * 32 * 3 * 1280 * 12
    check_room(keep[:most], 32, 1280, free=16 * 2**30)
    with pytest.raises(ConfigError, match="files up to 16 GiB are read"):
        check_room(keep, 32, 1280, free=2**50)
