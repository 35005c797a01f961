"""The normalisation vector holds the payload's numbers, and the README says how to use it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from analysis.read.normalization import build_normalization
from analysis.read.scores import Score
from analysis.show.export import export_normalization
from analysis.vocabulary import Representation, Statistic, TokenRole
from tests import ROOT
from tests.factories.payloads import make_flat_table, make_table

PRE, PATCH = Representation.PRE, TokenRole.PATCH
README = (ROOT / "README.md").read_text()


def test_mean_and_std_are_the_payload_s(tmp_path: Path) -> None:
    table = make_table(layers=3)
    path = tmp_path / "vector.safetensors"
    path.write_bytes(export_normalization(table, Representation.GLOBAL_LN, TokenRole.CLS))
    arrays = load_file(path)
    assert sorted(arrays) == sorted(
        f"layer_{layer}.{kind}" for layer in range(3) for kind in ("mean", "std", "keep")
    )
    for layer in range(3):
        for kind, statistic in (("mean", Statistic.MEAN), ("std", Statistic.STD)):
            expected = table.get(layer, Representation.GLOBAL_LN, TokenRole.CLS, statistic)
            np.testing.assert_array_equal(arrays[f"layer_{layer}.{kind}"].numpy(), expected)


def test_outliers_are_not_kept_and_the_rest_is() -> None:
    table = make_table(layers=4, channels=64, outliers={5: 900.0})
    kept = build_normalization(table, PRE, PATCH)["layer_3.keep"]
    assert kept[5] == 0
    assert kept.sum() >= 60


def test_a_constant_channel_is_not_kept() -> None:
    values = np.ones((1, 3, 2, 3, 8), dtype=np.float32)
    values[..., list(Statistic).index(Statistic.STD), 2] = 0
    kept = build_normalization(make_flat_table(values), PRE, PATCH)["layer_0.keep"]
    assert kept.tolist() == [1, 1, 0, 1, 1, 1, 1, 1]


def test_the_threshold_decides_what_is_kept() -> None:
    table = make_table(channels=64)
    few, many = (
        build_normalization(table, PRE, PATCH, Score.TIMES_MEDIAN, threshold)["layer_3.keep"].sum()
        for threshold in (1.0, 1e9)
    )
    assert few < many == 64


def test_the_file_says_of_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "vector.safetensors"
    path.write_bytes(export_normalization(make_table(version="v7", images=5), PRE, PATCH))
    with safe_open(path, framework="numpy") as file:
        about = file.metadata()
    assert about["version"] == "v7"
    assert (about["representation"], about["role"], about["images"]) == ("pre", "patch", "5")
    assert about["backbone"] == "dinov3_vitt16_demo"


def test_the_readme_s_snippet_normalises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (snippet,) = re.findall(r"```python\n(from safetensors.*?)```", README, flags=re.DOTALL)
    table = make_table(layers=12, channels=64)
    (tmp_path / "normalization.safetensors").write_bytes(export_normalization(table, PRE, PATCH))
    monkeypatch.chdir(tmp_path)
    mean, std = (
        torch.from_numpy(table.get(11, PRE, PATCH, statistic).copy())
        for statistic in (Statistic.MEAN, Statistic.STD)
    )
    noise = torch.randn(4000, 64, generator=torch.Generator().manual_seed(0))
    names: dict[str, object] = {"tokens": mean + std * noise}
    exec(snippet, names)
    features = names["features"]
    assert isinstance(features, torch.Tensor)
    kept = build_normalization(table, PRE, PATCH)["layer_11.keep"].astype(bool)
    assert features[:, kept].mean().abs() < 0.01
    assert abs(float(features[:, kept].std()) - 1) < 0.01
    assert (features[:, ~kept] == 0).all()
