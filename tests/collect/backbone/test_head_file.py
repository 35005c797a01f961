"""Heads are read without running anything in them, without peft, and known by their content."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import TaskType

from analysis.collect.backbone.head_file import read_head
from analysis.errors import AdapterError
from tests.factories.adapters import head_content, save_head, train_adapter
from tests.factories.backbones import make_backbone


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "infer_head.pt"


def test_head_holds_what_the_training_run_saved(path: Path) -> None:
    model = train_adapter(target_modules=["qkv", "proj"], task_type=TaskType.FEATURE_EXTRACTION)
    head = read_head(save_head(path, model, val_r2=0.7))
    assert head.fault is None
    assert head.meta == {"backbone": "tiny", "embedding_dim": 48, "val_r2": 0.7}
    assert head.peft_config is not None
    assert head.peft_config["peft_type"] == "LORA"
    assert head.peft_config["task_type"] == "FEATURE_EXTRACTION"
    assert head.peft_config["target_modules"] == ["proj", "qkv"]
    assert head.peft_state is not None
    assert set(head.peft_state) == {
        f"{module}.lora_{letter}.weight"
        for letter in "AB"
        for module in (
            "patch_embed.proj",
            *(f"blocks.{block}.attn.{layer}" for block in (0, 1) for layer in ("qkv", "proj")),
        )
    }


def test_a_tensor_with_an_endless_name_is_refused_at_once(path: Path) -> None:
    model = train_adapter(target_modules=["qkv"])
    content = head_content(model)
    name = "base_model.model." + "blocks.0." * 1_000_000 + "lora_A.weight"
    content["peft"]["state_dict"][name] = torch.ones(1)
    torch.save(content, path)
    assert "letters" in str(read_head(path).fault)


def test_reading_a_head_does_not_import_peft(path: Path) -> None:
    """peft takes seconds to import, and what is broken there must not hide what is in the head."""
    save_head(path, train_adapter())
    code = (
        "import sys; from pathlib import Path\n"
        "from analysis.collect.backbone.head_file import read_head\n"
        "assert read_head(Path(sys.argv[1])).peft_config['peft_type'] == 'LORA'\n"
        "assert 'peft' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


# --- one adapter, one digest


def digest(path: Path, content: dict[str, Any]) -> str:
    torch.save(content, path)
    sha256 = read_head(path).sha256
    assert sha256 is not None
    return sha256


def test_same_adapter_in_another_head_has_the_same_digest(path: Path) -> None:
    content = head_content(train_adapter(use_dora=True))
    other = head_content(train_adapter(use_dora=True), epoch=7)
    other["state_dict"] = {"1.bias": torch.ones(2)}
    state = other["peft"]["state_dict"]
    other["peft"]["state_dict"] = dict(reversed(list(state.items())))
    other["peft"]["config"] |= {"peft_version": "0.1", "lora_dropout": 0.5, "inference_mode": True}
    assert digest(path, content) == digest(path, other)


def change_a_value(peft: dict[str, Any]) -> None:
    peft["state_dict"]["base_model.model.blocks.1.attn.qkv.lora_B.weight"][0, 0] += 1e-6


def change_the_scale(peft: dict[str, Any]) -> None:
    peft["config"]["lora_alpha"] = 9


def change_the_scaling_rule(peft: dict[str, Any]) -> None:
    peft["config"]["use_rslora"] = True


def change_the_precision(peft: dict[str, Any]) -> None:
    state = peft["state_dict"]
    peft["state_dict"] = {name: tensor.half() for name, tensor in state.items()}


def change_a_name(peft: dict[str, Any]) -> None:
    state = peft["state_dict"]
    peft["state_dict"] = {name.replace("blocks.1", "blocks.3"): t for name, t in state.items()}


@pytest.mark.parametrize(
    "change",
    [
        change_a_value,
        change_the_scale,
        change_the_scaling_rule,
        change_the_precision,
        change_a_name,
    ],
)
def test_another_adapter_has_another_digest(
    path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    content = head_content(train_adapter())
    before = digest(path, content)
    change(content["peft"])
    assert digest(path, content) != before


# --- peft's own folder


def save_folder(folder: Path) -> Path:
    train_adapter().save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize("name", [".", "adapter_config.json", "adapter_model.safetensors"])
def test_adapter_folder_can_be_named_by_any_of_its_files(tmp_path: Path, name: str) -> None:
    head = read_head(save_folder(tmp_path / "adapter") / name)
    assert head.peft_state is not None
    assert len(head.peft_state) == 4
    assert head.meta == {}


def test_adapter_folder_with_pickled_weights_is_read(tmp_path: Path) -> None:
    folder = save_folder(tmp_path)
    state = read_head(folder).peft_state
    (folder / "adapter_model.safetensors").unlink()
    torch.save(state, folder / "adapter_model.bin")
    assert read_head(folder).sha256 is not None


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda folder: (folder / "adapter_config.json").unlink(), "no such file"),
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "holds no adapter_model"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "not valid JSON"),
        (lambda folder: (folder / "adapter_config.json").write_text("[]"), "expected an object"),
        (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"x"), "damaged"),
    ],
    ids=["no config", "no weights", "broken config", "list as config", "broken weights"],
)
def test_incomplete_adapter_folder_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], expected: str
) -> None:
    spoil(save_folder(tmp_path))
    with pytest.raises(AdapterError, match=expected):
        read_head(tmp_path)


# --- no head at all


class Gadget:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_hostile_head_is_refused_and_not_executed(path: Path) -> None:
    marker = path.parent / "executed"
    content = head_content(train_adapter())
    content["peft"]["config"]["task_type"] = Gadget(marker)
    torch.save(content, path)
    with pytest.raises(AdapterError, match="system"):
        read_head(path)
    assert not marker.exists()


def test_truncated_head_is_refused(path: Path) -> None:
    save_head(path, train_adapter())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AdapterError, match="cut off"):
        read_head(path)


@pytest.mark.parametrize("content", [[1, 2], None, 3, {}, {1: 2}], ids=str)
def test_file_that_is_no_head_is_refused(path: Path, content: object) -> None:
    torch.save(content, path)
    with pytest.raises(AdapterError, match=r"infer_head\.pt: this is not a head"):
        read_head(path)


def test_backbone_weights_in_place_of_a_head_are_refused(path: Path) -> None:
    torch.save(make_backbone().state_dict(), path)
    with pytest.raises(AdapterError, match=r"weights of a backbone .*found cls_token, .* in all"):
        read_head(path)


@pytest.mark.parametrize("meta", [None, [], "text"], ids=str)
def test_head_without_facts_is_read(path: Path, meta: object) -> None:
    torch.save({"state_dict": {}, "meta": meta}, path)
    assert read_head(path).meta == {}


@pytest.mark.parametrize("peft", [[1], "text", 7], ids=str)
def test_adapter_that_is_no_dict_is_a_fault_of_the_adapter(path: Path, peft: object) -> None:
    torch.save({"state_dict": {}, "meta": {}, "peft": peft}, path)
    head = read_head(path)
    assert head.peft_config is None
    assert head.fault is not None
    assert "expected a dict" in head.fault


def test_settings_of_any_json_shape_have_a_digest(tmp_path: Path) -> None:
    folder = save_folder(tmp_path)
    config = json.loads((folder / "adapter_config.json").read_text())
    config |= {"r": {"a": [None]}, "target_modules": {"qkv": 1}}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    assert read_head(folder).sha256 is not None


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"meta": {}, "layers": {}}, "but a payload"),
        ({"meta": {}, "layers": {}, "state_dict": {}}, "but a payload"),
        ({"epoch": 3, "state_dict": {"0.weight": torch.zeros(2)}}, "found epoch, state_dict"),
        ({"meta": {}, "state_dict": {"m.blocks.0.norm1.bias": torch.zeros(2)}}, "of a backbone"),
        ({"model": {"blocks.0.norm1.bias": torch.zeros(2)}}, "of a backbone"),
        ({"state_dict": {}}, "found state_dict"),
        ({"meta": {"a": 1}}, "found meta"),
        ({"meta": {}, "state_dict": [1]}, "found meta, state_dict"),
    ],
)
def test_file_of_another_kind_is_never_a_head_without_adapter(
    path: Path, content: dict[str, Any], named: str
) -> None:
    torch.save(content, path)
    with pytest.raises(AdapterError, match=named):
        read_head(path)


@pytest.mark.parametrize("nest", [("state_dict",), ("model", "student"), ()])
def test_lora_tensors_of_a_checkpoint_are_found(path: Path, nest: tuple[str, ...]) -> None:
    content: Any = dict(train_adapter().state_dict())
    for key in reversed(nest):
        content = {key: content, "step": 3}
    torch.save(content, path)
    head = read_head(path)
    assert head.peft_config is None
    expected = read_head(save_head(path, train_adapter())).peft_state
    assert head.peft_state is not None
    assert expected is not None
    assert head.peft_state.keys() == expected.keys()


def test_folder_of_several_named_adapters_is_refused(tmp_path: Path) -> None:
    save_folder(tmp_path / "left")
    assert read_head(tmp_path).peft_state is not None
    save_folder(tmp_path / "right")
    with pytest.raises(AdapterError, match="several adapters: left, right"):
        read_head(tmp_path)
