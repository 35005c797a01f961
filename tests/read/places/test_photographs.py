from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.errors import ConfigError, ImageError
from analysis.payload.image_paths import fingerprint_files
from analysis.read.places import photographs
from analysis.read.places.photographs import (
    are_measured,
    crop_patch,
    find_photograph,
    find_recorded,
    load_photograph,
    outline_patch,
    to_png,
)

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


def test_the_picture_is_the_one_the_network_saw(tmp_path: Path) -> None:
    from analysis.collect.images.decode import load_image

    path = _picture(tmp_path / "a.png", (150, 120))
    shown = load_photograph(path, (70, 52), (64, 48))
    measured = load_image(path, (70, 52)).permute(1, 2, 0).numpy()[:48, :64]
    assert shown.shape == (48, 64, 3)
    assert np.abs(shown.astype(int) - measured).max() <= 1  # torch resizes within one level


def test_the_outline_lies_around_its_patch_and_leaves_the_patch_as_it_is() -> None:
    pixels = np.full((64, 96, 3), 128, dtype=np.uint8)
    outlined = outline_patch(pixels, 1 * 6 + 4)
    changed = np.argwhere((outlined != 128).any(axis=2))
    inside = outlined[32 : 2 * 32, 4 * 32 : 5 * 32]
    assert (inside == 128).all()
    assert changed.min(axis=0).tolist() == [32 - 5, 4 * 32 - 5]
    assert changed.max(axis=0).tolist() == [64 + 5, 5 * 32 + 5]


def test_the_crop_holds_the_patch_and_its_neighbours_also_in_a_corner() -> None:
    pixels = np.zeros((64, 96, 3), dtype=np.uint8)
    pixels[:16, 80:] = (0, 0, 200)
    crop = crop_patch(pixels, 5, around=1)
    assert crop.shape == (2 * 128, 2 * 128, 3)
    assert crop[64, 128 + 64].tolist() == [0, 0, 200]
    assert crop[64, 64].tolist() == [0, 0, 0]


@pytest.mark.parametrize("patch", [-1, 24, 10**9])
def test_a_patch_outside_the_picture_is_refused(patch: int) -> None:
    with pytest.raises(ImageError, match="lies outside"):
        outline_patch(np.zeros((64, 96, 3), dtype=np.uint8), patch)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"%!PS-Adobe-3.0 EPSF-3.0\n" * 9])
def test_what_is_no_photograph_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(ImageError, match="The uploaded file: cannot be shown"):
        load_photograph(content, (32, 32))


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = io.BytesIO()
    Image.new("L", (300, 300)).save(file, "PNG")
    monkeypatch.setattr(photographs, "MAX_PIXELS", 300 * 300 - 1)
    with pytest.raises(ImageError, match="300 x 300 pixels are too many"):
        load_photograph(file.getvalue(), (32, 32))


def test_a_file_of_too_many_bytes_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _picture(tmp_path / "a.png")
    monkeypatch.setattr(photographs, "MAX_BYTES", 10)
    with pytest.raises(ImageError, match="larger than"):
        load_photograph(path, (32, 32))


def test_png_keeps_every_colour() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(to_png(pixels)))) == pixels).all()
