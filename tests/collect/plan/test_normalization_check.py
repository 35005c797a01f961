"""Weights that were pretrained on satellite images are not run with ImageNet's mean in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.collect.plan.normalization_check import SATELLITE, WEB, check_normalization

SATELLITE_NAMES = [
    "w/dinov3_vitl16_pretrain_sat493m-eadcf0ff.pth",
    "w/dinov3-vitl16-pretrain-sat493m",
    "models--facebook--dinov3-vitl16-pretrain-sat493m/snapshots/ab/model.safetensors",
    "w/vit_large_patch16_dinov3.sat_493m.safetensors",
]


@pytest.mark.parametrize("name", SATELLITE_NAMES)
def test_satellite_weights_with_the_mean_of_imagenet_are_said(name: str) -> None:
    (warning,) = check_normalization(Path(name), *WEB)
    assert "SAT-493M, whose normalisation is mean [0.43, 0.411, 0.296]" in warning
    assert "std [0.213, 0.156, 0.143]" in warning
    assert check_normalization(Path(name), *SATELLITE) == ()


def test_web_weights_with_the_mean_of_satellites_are_said() -> None:
    path = Path("w/dinov3_vitl16_pretrain_lvd1689m-8aa4cbdd.pth")
    assert "[0.485, 0.456, 0.406]" in check_normalization(path, *SATELLITE)[0]
    assert check_normalization(path, *WEB) == ()


def test_own_numbers_and_own_names_are_left_alone() -> None:
    own = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert check_normalization(Path(SATELLITE_NAMES[0]), *own) == ()
    assert check_normalization(Path("mine.pt"), *WEB) == ()
