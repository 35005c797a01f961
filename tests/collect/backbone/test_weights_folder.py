"""Folders as transformers, its Trainer, the hub's cache and other tools leave them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from analysis.collect.backbone.variants import VARIANTS
from analysis.collect.backbone.weights import load_backbone
from analysis.collect.backbone.weights_folder import holds_weights
from analysis.errors import CheckpointError
from tests.factories.backbones import make_backbone, tiny_variant

TINY = tiny_variant(name="tiny")
STATE = make_backbone(TINY, seed=3).state_dict()


@pytest.fixture(autouse=True)
def _tiny_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANTS, "tiny", TINY)


def write(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (save_file if name.endswith("safetensors") else torch.save)(STATE, folder / name)


def write_shards(folder: Path, stem: str, suffix: str) -> None:
    names = list(STATE)
    shards = {f"{stem}-{i + 1:05}-of-00002{suffix}": names[i::2] for i in range(2)}
    for shard, part in shards.items():
        state = {name: STATE[name] for name in part}
        (save_file if suffix == ".safetensors" else torch.save)(state, folder / shard)
    table = {name: shard for shard, part in shards.items() for name in part}
    index = {"metadata": {}, "weight_map": table}
    (folder / f"{stem}{suffix}.index.json").write_text(json.dumps(index))


def assert_loads(folder: Path) -> None:
    assert holds_weights(folder)
    backbone, _ = load_backbone("tiny", folder)
    for name, tensor in backbone.state_dict().items():
        assert name == "mask_token" or torch.equal(tensor, STATE[name])


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_folder_of_a_trainer_without_config_is_read(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    torch.save({"state": {}}, tmp_path / "optimizer.pt")
    assert_loads(tmp_path)


@pytest.mark.parametrize(("stem", "suffix"), [("model", ".safetensors"), ("pytorch_model", ".bin")])
def test_shards_are_read_in_either_format(tmp_path: Path, stem: str, suffix: str) -> None:
    write_shards(tmp_path, stem, suffix)
    assert_loads(tmp_path)


@pytest.mark.parametrize(("stem", "suffix"), [("model", ".safetensors"), ("x", ".bin")])
def test_shards_without_their_index_are_read_together(
    tmp_path: Path, stem: str, suffix: str
) -> None:
    write_shards(tmp_path, stem, suffix)
    (tmp_path / f"{stem}{suffix}.index.json").unlink()
    torch.save({"lr": 1.0}, tmp_path / "training_args.bin")
    assert_loads(tmp_path)
    one = tmp_path / f"{stem}-00002-of-00002{suffix}"
    backbone, _ = load_backbone("tiny", one)
    assert torch.equal(backbone.norm.weight, STATE["norm.weight"])
    (tmp_path / f"{stem}-00001-of-00002{suffix}").unlink()
    for path in (tmp_path, one):
        with pytest.raises(CheckpointError, match=f"{stem}-00001-of-00002{suffix} is not beside"):
            load_backbone("tiny", path)


def test_cache_of_the_hub_is_read_by_its_current_snapshot(tmp_path: Path) -> None:
    cache = tmp_path / "models--facebook--tiny"
    write(cache / "blobs", "model.safetensors")
    for commit in ("aaa", "bbb"):
        (cache / "snapshots" / commit).mkdir(parents=True)
    link = cache / "snapshots" / "bbb" / "model.safetensors"
    link.symlink_to(cache / "blobs" / "model.safetensors")
    with pytest.raises(CheckpointError, match="expected one snapshot, found aaa, bbb"):
        load_backbone("tiny", cache)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("bbb\n")
    assert_loads(cache)


def test_distributed_checkpoint_is_refused_with_the_command_that_converts_it(
    tmp_path: Path,
) -> None:
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    dcp.save(STATE, checkpoint_id=tmp_path / "dcp", no_dist=True)
    assert holds_weights(tmp_path / "dcp")
    with pytest.raises(CheckpointError, match=r"format_utils dcp_to_torch .*dcp weights\.pt"):
        load_backbone("tiny", tmp_path / "dcp")
    dcp_to_torch_save(tmp_path / "dcp", tmp_path / "weights.pt")
    assert torch.equal(
        load_backbone("tiny", tmp_path / "weights.pt")[0].norm.bias, STATE["norm.bias"]
    )


def test_part_of_a_distributed_checkpoint_is_refused_in_the_same_way(tmp_path: Path) -> None:
    (tmp_path / ".metadata").touch()
    (tmp_path / "__0_0.distcp").write_bytes(b"PK\3\4")
    with pytest.raises(CheckpointError, match="dcp_to_torch"):
        load_backbone("tiny", tmp_path / "__0_0.distcp")


def test_other_folders_hold_no_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    assert not holds_weights(tmp_path)
    assert not holds_weights(tmp_path / "missing")


@pytest.mark.parametrize("name", ["last.ckpt", "teacher_checkpoint.pth"])
def test_the_one_weights_file_of_a_run_is_read(tmp_path: Path, name: str) -> None:
    torch.save((3, [{"model": STATE}]), tmp_path / name)  # lists and tuples are looked through
    (tmp_path / "log.txt").write_text("epoch 3")
    backbone, _ = load_backbone("tiny", tmp_path)
    assert torch.equal(backbone.norm.weight, STATE["norm.weight"])


def test_a_choice_in_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found none of them"):
        load_backbone("tiny", tmp_path)
    for number in (100, 500):
        write(tmp_path / f"checkpoint-{number}", "model.safetensors")
    write(tmp_path, "a.pth")
    write(tmp_path, "b.pth")
    with pytest.raises(CheckpointError, match=r"found a\.pth, b\.pth, checkpoint-100, ch"):
        load_backbone("tiny", tmp_path)
