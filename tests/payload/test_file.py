"""The payload file is the specification's, and is whole or not there."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.errors import ConfigError, PayloadError
from analysis.payload.file import load_payload, prepare_output, save_payload
from analysis.payload.schema import validate_payload
from tests.factories.payloads import make_payload

SPECIFIED_META = {
    "backbone": {
        "backbone_name",
        "dino_weights_pt",
        "head_weights_base",
        "first_head_path",
        "used_lora",
        "lora_error",
    },
    "counts": {"num_images", "num_batches", "num_layers", "embedding_dim", "n_storage_tokens"},
}


@pytest.fixture
def payload() -> dict[str, Any]:
    return make_payload(layers=2, channels=6)


def test_saved_payload_is_read_by_the_safe_loader_unchanged(
    payload: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "feature_stats" / "stats.pt"
    save_payload(payload, path)
    loaded = torch.load(path, weights_only=True)
    assert loaded["meta"] == payload["meta"]
    for layer, representations in payload["layers"].items():
        for representation, roles in representations.items():
            for role, cell in roles.items():
                got = loaded["layers"][layer][representation][role]
                assert got["count"] == cell["count"]
                for statistic in ("mean", "std", "max_abs"):
                    torch.testing.assert_close(got[statistic], cell[statistic], rtol=0, atol=0)


def test_the_specifications_own_snippet_reads_it(payload: dict[str, Any], tmp_path: Path) -> None:
    path = str(tmp_path / "dinov3_feature_stats.pt")
    save_payload(payload, Path(path))

    # the lines of the specification, section 3, on layer 1 instead of 31
    loaded = torch.load(path, map_location="cpu")
    meta = loaded["meta"]
    layers = loaded["layers"]
    idx = 1
    stats_cls_global = layers[idx]["global_ln"]["cls"]
    mean = stats_cls_global["mean"]
    std = stats_cls_global["std"]
    max_abs = stats_cls_global["max_abs"]
    max_abs_patch_pre = layers[idx]["pre"]["patch"]["max_abs"].numpy()

    assert mean.shape == std.shape == max_abs.shape == (meta["counts"]["embedding_dim"],)
    assert max_abs_patch_pre.shape == (6,)


def test_factory_and_specification_agree_on_the_keys(payload: dict[str, Any]) -> None:
    assert set(payload) <= {"meta", "layers", "extras"}
    assert set(payload["meta"]) <= {"project_dir", "config", "backbone", "counts", "run"}
    for section, keys in SPECIFIED_META.items():
        assert set(payload["meta"][section]) == keys


def test_sidecar_describes_the_file_that_stands_beside_it(
    payload: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "stats.pt"
    save_payload(payload, path)
    sidecar = json.loads((tmp_path / "stats.json").read_text())
    assert sidecar["size"] == path.stat().st_size
    assert sidecar["mtime_ns"] == path.stat().st_mtime_ns
    assert sidecar["backbone"] == payload["meta"]["backbone"]["backbone_name"]
    assert sidecar["num_images"] == payload["meta"]["counts"]["num_images"]


def test_a_payload_takes_its_place_only_after_what_it_waits_for(
    payload: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "x.pt"

    def fail() -> None:
        assert not path.exists()
        raise ConfigError("no room for the features")

    with pytest.raises(ConfigError, match="no room"):
        save_payload(payload, path, wait=fail)
    assert not list(tmp_path.iterdir())
    save_payload(payload, path, wait=lambda: (tmp_path / "features").touch())
    assert path.exists()


def test_failed_save_leaves_the_old_payload_and_no_temporary_file(
    payload: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "stats.pt"
    save_payload(payload, path)
    before = path.read_bytes()
    broken = payload | {"extras": {"unpicklable": lambda: None}}
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save_payload(broken, path)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["stats.json", "stats.pt"]


def _delete(*keys: Any) -> Callable[[dict[Any, Any]], None]:
    def mutate(payload: dict[Any, Any]) -> None:
        for key in keys[:-1]:
            payload = payload[key]
        del payload[keys[-1]]

    return mutate


def _set(*keys_and_value: Any) -> Callable[[dict[Any, Any]], None]:
    *keys, value = keys_and_value

    def mutate(payload: dict[Any, Any]) -> None:
        for key in keys[:-1]:
            payload = payload[key]
        payload[keys[-1]] = value

    return mutate


CELL = ("layers", 1, "pre", "patch")


@pytest.mark.parametrize(
    ("mutate", "key"),
    [
        pytest.param(_delete("meta"), "meta", id="no meta"),
        pytest.param(_delete("meta", "counts", "embedding_dim"), "embedding_dim", id="no dim"),
        pytest.param(_delete("meta", "backbone", "lora_error"), "lora_error", id="no lora_error"),
        pytest.param(_set("meta", "counts", "num_layers", 3), "layers", id="layer missing"),
        pytest.param(_set("meta", "counts", "num_layers", True), "num_layers", id="bool count"),
        pytest.param(_set("layers", "1", {}), "layers", id="string layer key"),
        pytest.param(_set("layers", []), "layers", id="layers is a list"),
        pytest.param(_delete(*CELL[:3]), "layers.1.pre", id="no representation"),
        pytest.param(_delete(*CELL), "layers.1.pre.patch", id="no role"),
        pytest.param(_delete(*CELL, "std"), "patch.std", id="no statistic"),
        pytest.param(_set(*CELL, "count", 0), "patch.count", id="count 0"),
        pytest.param(_set(*CELL, "count", -4), "patch.count", id="negative count"),
        pytest.param(_set(*CELL, "mean", torch.zeros(5)), "patch.mean", id="other width"),
        pytest.param(_set(*CELL, "mean", torch.zeros(6).double()), "patch.mean", id="float64"),
        pytest.param(_set(*CELL, "mean", [0.0] * 6), "patch.mean", id="a list"),
        pytest.param(_set(*CELL, "mean", torch.full((6,), torch.nan)), "patch.mean", id="NaN"),
        pytest.param(_set(*CELL, "std", -torch.ones(6)), "patch.std", id="negative std"),
        pytest.param(
            _set(*CELL, "mean", torch.zeros(6).to_sparse()), "patch.mean", id="sparse tensor"
        ),
    ],
)
def test_fault_is_named_by_file_and_key(
    payload: dict[str, Any], mutate: Callable[[dict[Any, Any]], None], key: str
) -> None:
    broken = copy.deepcopy(payload)
    mutate(broken)
    with pytest.raises(PayloadError) as caught:
        validate_payload(broken, Path("somewhere/stats.pt"))
    message = str(caught.value)
    assert message.startswith("somewhere/stats.pt: ")
    assert key in message
    assert "expected" in message
    assert "found" in message
    assert "\n" not in message


@pytest.mark.parametrize("payload", [None, [], 3, "text", torch.zeros(2)], ids=repr)
def test_anything_but_a_dict_is_refused(payload: Any) -> None:
    with pytest.raises(PayloadError, match="expected a dict"):
        validate_payload(payload, Path("stats.pt"))


class _Gadget:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.marker,)


def test_hostile_payload_is_refused_and_not_executed(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    torch.save({"meta": _Gadget(marker), "layers": {}}, tmp_path / "stats.pt")
    with pytest.raises(PayloadError, match=r"stats\.pt"):
        load_payload(tmp_path / "stats.pt")
    assert not marker.exists()


def test_archive_that_unpacks_to_more_than_the_limit_is_refused(
    payload: dict[str, Any], tmp_path: Path
) -> None:
    save_payload(payload, tmp_path / "stats.pt")
    with pytest.raises(PayloadError, match="bytes"):
        load_payload(tmp_path / "stats.pt", max_bytes=100)


def test_output_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="file name"):
        prepare_output(tmp_path)


def test_output_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        prepare_output(tmp_path / "file" / "stats.pt")
