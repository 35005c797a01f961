"""Weights and adapters of another backbone are told by their headers, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from analysis.collect.plan.file_headers import read_shapes
from analysis.collect.plan.header_check import check_files
from analysis.errors import ConfigError

DEMO = "dinov3_vitt16_demo"


def _backbone(channels: int = 192, blocks: int = 12) -> dict[str, torch.Tensor]:
    state = {f"blocks.{n}.norm1.weight": torch.zeros(channels) for n in range(blocks)}
    return {"cls_token": torch.zeros(1, 1, channels), **state}


def _adapter(channels: int = 192, block: int = 3) -> dict[str, object]:
    name = f"base_model.model.blocks.{block}.attn.qkv.lora_A.weight"
    state = {name: torch.zeros(4, channels), name.replace("_A", "_B"): torch.zeros(576, 4)}
    return {"meta": {"backbone": "x"}, "peft": {"config": {"r": 4}, "state_dict": state}}


def _save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_shapes_are_those_of_the_tensors(tmp_path: Path, zipped: bool) -> None:
    state = _backbone(24, 2) | {"twice.scalar": torch.tensor(1.0), "wide": torch.zeros(300, 70_000)}
    path = tmp_path / "weights.bin"
    _save(path, {"note": "storage", "model": state}) if zipped else save_file(state, path)
    start = "model." if zipped else ""
    shapes = {f"{start}{name}": tuple(tensor.shape) for name, tensor in state.items()}
    assert read_shapes(path) == shapes


def test_tensors_that_share_a_storage_are_told_apart(tmp_path: Path) -> None:
    whole = torch.zeros(6, 4)
    path = _save(tmp_path / "weights.pt", {"a": whole, "b": whole[:2]})
    assert read_shapes(path) == {"a": (6, 4), "b": (2, 4)}


def test_what_fits_passes(tmp_path: Path) -> None:
    check_files(_save(tmp_path / "w.pth", _backbone()), _save(tmp_path / "h.pt", _adapter()), DEMO)


@pytest.mark.parametrize(("channels", "blocks"), [(384, 12), (192, 24)])
def test_weights_of_another_backbone_are_refused(
    tmp_path: Path, channels: int, blocks: int
) -> None:
    weights = _save(tmp_path / "w.pth", _backbone(channels, blocks))
    with pytest.raises(ConfigError, match=f"{channels} channels and {blocks} blocks"):
        check_files(weights, None, DEMO)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(_adapter(384), "for 384 channels, as dinov3_vits16", id="wider"),
        pytest.param(_adapter(block=20), "at least 21 blocks", id="deeper"),
        pytest.param(_backbone(), "a backbone without adapter", id="a backbone"),
    ],
)
def test_a_head_of_something_else_is_refused(tmp_path: Path, content: object, words: str) -> None:
    weights = _save(tmp_path / "w.pth", _backbone())
    with pytest.raises(ConfigError, match=words):
        check_files(weights, _save(tmp_path / "h.pt", content), DEMO)


def test_a_text_is_no_head_and_a_folder_of_peft_is_one(tmp_path: Path) -> None:
    weights = _save(tmp_path / "w.pth", _backbone())
    (tmp_path / "README.md").write_text("# Heads\n")
    with pytest.raises(ConfigError, match="no head"):
        check_files(weights, tmp_path / "README.md", DEMO)
    folder = tmp_path / "adapter"
    folder.mkdir()
    state = {"base_model.model.layer.0.attention.q_proj.lora_A.weight": torch.zeros(4, 384)}
    save_file(state, folder / "adapter_model.safetensors")
    with pytest.raises(ConfigError, match="for 384 channels"):
        check_files(weights, folder, DEMO)


def test_what_a_header_does_not_tell_is_not_judged(tmp_path: Path) -> None:
    cut = tmp_path / "w.pth"
    cut.write_bytes(_save(tmp_path / "whole.pth", _backbone(384)).read_bytes()[:2000])
    check_files(cut, None, DEMO)
    check_files(tmp_path / "missing", None, DEMO)
