"""A file that a payload names is found where it may be read, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.errors import ConfigError, ImageError
from analysis.payload.image_paths import fingerprint_files
from analysis.payload.recorded_files import are_measured, find_photograph, find_recorded

META = {"project_dir": "/cluster/project", "config": {"data": {"root": "data"}}}


def _picture(path: Path, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path)
    return path


def test_an_image_of_another_machine_is_found_at_the_same_place_below_a_root(
    tmp_path: Path,
) -> None:
    here = _picture(tmp_path / "second" / "data" / "train" / "a.png")
    roots = [tmp_path / "first", tmp_path / "second"]
    assert find_photograph("train/a.png", META, roots=roots) == here


def test_a_folder_that_somebody_names_takes_the_place_of_the_data_root(tmp_path: Path) -> None:
    here = _picture(tmp_path / "copied" / "train" / "a.png")
    with pytest.raises(ImageError, match=r"train/a\.png is not readable here"):
        find_photograph("train/a.png", META, roots=[tmp_path])
    found = find_photograph("train/a.png", META, str(tmp_path / "copied"), roots=[tmp_path])
    assert found == here


def test_an_absolute_path_is_remapped_by_its_longest_end_that_exists(tmp_path: Path) -> None:
    _picture(tmp_path / "a.png")
    here = _picture(tmp_path / "train" / "a.png")
    found = find_photograph("/cluster/data/train/a.png", META, str(tmp_path), roots=[tmp_path])
    assert found == here


@pytest.mark.parametrize("relative", ["../../secret.png", "/{outside}/secret.png", "link.png"])
def test_nothing_outside_the_allowed_roots_is_read(tmp_path: Path, relative: str) -> None:
    secret = _picture(tmp_path / "secret.png")
    root = tmp_path / "project"
    (root / "data").mkdir(parents=True)
    (root / "data" / "link.png").symlink_to(secret)
    relative = relative.replace("/{outside}", str(tmp_path))
    meta = {"project_dir": str(root), "config": {"data": {"root": "data"}}}
    with pytest.raises(ImageError, match="is not readable here"):
        find_photograph(relative, meta, roots=[root])
    with pytest.raises(ImageError, match="is not readable here"):
        find_photograph(relative, meta, str(root / "data"), roots=[root])
    with pytest.raises(ConfigError, match="lies outside the folders"):
        find_photograph("secret.png", meta, str(tmp_path), roots=[root])


@pytest.mark.parametrize("config", [{}, {"data": None}, {"data": {"root": None}}])
def test_a_config_without_a_data_root_is_no_crash(tmp_path: Path, config: dict) -> None:
    with pytest.raises(ImageError, match="is not readable here"):
        find_photograph("a.png", {"config": config}, roots=[tmp_path])


def test_no_variable_of_this_machine_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERE", "/private/place")
    with pytest.raises(ImageError) as error:
        find_photograph("a.png", {"config": {"data": {"root": "$WHERE/x"}}}, roots=[tmp_path])
    assert "private" not in str(error.value)


def test_a_recorded_file_that_is_where_it_was_is_taken_from_there(tmp_path: Path) -> None:
    there = _picture(tmp_path / "old" / "weights" / "w.pt.png")
    _picture(tmp_path / "new" / "weights" / "w.pt.png")
    roots = [tmp_path / "new", tmp_path / "old"]
    assert find_recorded(str(there), str(tmp_path / "old"), roots) == there


def test_images_of_other_sizes_are_not_those_that_were_measured(tmp_path: Path) -> None:
    paths = ["a.png", "b.png"]
    for name in paths:
        _picture(tmp_path / "data" / name)
    sizes = [(tmp_path / "data" / name).stat().st_size for name in paths]
    meta = {**META, "run": {"dataset_fingerprint": fingerprint_files(paths, sizes)}}
    assert are_measured(paths, meta, roots=[tmp_path]) is True
    assert are_measured(paths, META, roots=[tmp_path]) is None
    _picture(tmp_path / "data" / "b.png", (41, 30))
    assert are_measured(paths, meta, roots=[tmp_path]) is False
    (tmp_path / "data" / "a.png").unlink()
    assert are_measured(paths, meta, roots=[tmp_path]) is None
