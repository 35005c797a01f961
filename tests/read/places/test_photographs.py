from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.errors import ImageError
from analysis.read.places import photographs
from analysis.read.places.photographs import crop_patch, load_photograph, outline_patch, to_png

META = {"project_dir": "/cluster/project", "config": {"data": {"root": "data"}}}


def _picture(path: Path, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path)
    return path


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
