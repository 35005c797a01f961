"""Vectors of single images: what is written is what is read, and of one payload only."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from analysis.errors import PayloadError
from analysis.payload.features import (
    STORED,
    features_path,
    read_features,
)
from analysis.payload.image_vectors import ImageVectors, write_features
from analysis.payload.table import build_table
from analysis.vocabulary import Cell, Representation, TokenRole
from tests import ROOT
from tests.factories.payloads import make_payload, write_payload

IMAGES = np.array([0, 3, 8])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_CACHE", str(tmp_path / "cache"))


def make_vectors(payload: dict[str, Any], *, untied: bool = False) -> ImageVectors:
    table = build_table(payload)
    rng = np.random.default_rng(0)
    values = np.empty((3, table.num_layers, 3, table.channels), np.float32)
    for layer in range(table.num_layers):
        for place, (role, representation) in enumerate(STORED):
            mean, std, _ = table[Cell(layer, representation, role)]
            values[:, layer, place] = mean + std * rng.standard_normal((3, table.channels))
    norm = {
        key: rng.standard_normal(table.channels).astype(np.float32)
        for key in ("gamma", "beta", *(("cls_gamma", "cls_beta") if untied else ()))
    }
    return ImageVectors(
        IMAGES,
        values,
        paths=["a/0.jpg", "a/3.jpg", "日/8.jpg"],
        targets={"Dry_Green_g": [1.5, float("nan"), 3.0], "Height": [1, 2, 3]},
        categories={"State": ["Tas", "", "NSW"]},
        norm=norm,
    )


def write(folder: Path, *, untied: bool = False) -> tuple[Path, dict[str, Any], ImageVectors]:
    payload = make_payload()
    path = write_payload(folder / "feature_stats" / "stats.pt", payload)
    vectors = make_vectors(payload, untied=untied)
    write_features(vectors, build_table(payload), features_path(path))
    return path, payload, vectors


def layer_norm(tokens: np.ndarray) -> np.ndarray:
    centred = tokens.astype("f8") - tokens.astype("f8").mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


@pytest.mark.parametrize("untied", [False, True])
def test_every_cell_is_read_back_or_follows_from_the_norm(tmp_path: Path, untied: bool) -> None:
    path, payload, vectors = write(tmp_path, untied=untied)
    features = read_features(path)
    table, norm = build_table(payload), vectors.norm
    for layer in range(table.num_layers):
        cls, patch, normed = vectors.values[:, layer].transpose(1, 0, 2)
        pre = {
            TokenRole.CLS: (cls, layer_norm(cls)),
            TokenRole.PATCH: (patch, normed),
        }
        for role, (block, own) in pre.items():
            prefix = "cls_" if untied and role is TokenRole.CLS else ""
            shared = own * norm[f"{prefix}gamma"] + norm[f"{prefix}beta"]
            for representation, expected in zip(Representation, (block, own, shared), strict=True):
                found = features.vectors(Cell(layer, representation, role))
                assert found.dtype == np.float32
                scale = np.abs(expected).mean() + np.abs(expected)
                assert (np.abs(found - expected) / scale).max() < 5e-3
    stored = features.standardized(1, TokenRole.PATCH, Representation.PRE)
    mean, std, _ = table[Cell(1, Representation.PRE, TokenRole.PATCH)]
    expected = (vectors.values[:, 1, 1] - mean) / std
    np.testing.assert_allclose(stored, expected, rtol=1e-3, atol=1e-3)


def test_columns_and_images_travel(tmp_path: Path) -> None:
    path, _, vectors = write(tmp_path)
    features = read_features(features_path(path))
    assert features.images.tolist() == IMAGES.tolist()
    assert features.paths == tuple(vectors.paths)
    np.testing.assert_array_equal(features.targets["Dry_Green_g"], [1.5, np.nan, 3.0])
    assert features.targets["Height"].tolist() == [1, 2, 3]
    assert features.categories["State"].tolist() == ["Tas", "", "NSW"]


def test_vectors_of_another_payload_are_refused_by_name(tmp_path: Path) -> None:
    path, payload, _ = write(tmp_path)
    other = copy.deepcopy(payload)
    other["layers"][0]["pre"]["cls"]["mean"][0] += 1e-3
    write_payload(path, other)
    with pytest.raises(PayloadError, match=r"stats\.features\.safetensors: belongs to another pay"):
        read_features(path)


def test_a_payload_without_vectors_says_how_to_make_them(tmp_path: Path) -> None:
    path = write_payload(tmp_path / "feature_stats" / "stats.pt", make_payload())
    with pytest.raises(PayloadError, match="--image-features"):
        read_features(path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t, m: t.pop("cls.pre"), "cls.pre"),
        (lambda t, m: t.update({"cls.pre": t["cls.pre"][:1]}), "cls.pre"),
        (lambda t, m: t.update({"patch.pre": t["patch.pre"].astype("f4")}), "patch.pre"),
        (lambda t, m: t.update(images=t["images"][::-1].copy()), "ascend"),
        (lambda t, m: t.update(categories=t["categories"] + 7), "State"),
        (lambda t, m: t.update(targets=t["targets"][:1]), "targets"),
        (lambda t, m: t.pop("norm.beta"), "norm.beta"),
        (lambda t, m: m.update(paths='["one"]'), "3 paths"),
        (lambda t, m: m.update(paths="[" * 100_000), "paths"),
        (lambda t, m: m.update(categories='{"State": [1]}'), "categories"),
        (lambda t, m: m.update(schema_version="9"), "version"),
        (lambda t, m: m.update(format="else"), "format"),
    ],
)
def test_a_broken_file_is_refused_and_says_what_is_wrong(
    tmp_path: Path, change: Any, named: str
) -> None:
    path, _, _ = write(tmp_path)
    place = features_path(path)
    from safetensors import safe_open

    with safe_open(str(place), framework="numpy") as file:
        metadata = dict(file.metadata())
    tensors = load_file(place)
    change(tensors, metadata)
    save_file(tensors, place, metadata)
    with pytest.raises(PayloadError, match=named):
        read_features(path)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, keep: int) -> None:
    path, _, _ = write(tmp_path)
    place = features_path(path)
    place.write_bytes(place.read_bytes()[:keep])
    with pytest.raises(PayloadError, match="a safetensors file"):
        read_features(path)


def test_reading_imports_no_torch(tmp_path: Path) -> None:
    path, _, _ = write(tmp_path)
    read_features(path)  # fills the cache of the payload's table
    code = (
        f"import sys; from analysis.payload.features import read_features as r;"
        f"r({str(path)!r}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
