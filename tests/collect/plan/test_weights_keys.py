"""The form offers the backbones of a file as the run would find them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from analysis.collect.backbone.variants import VARIANTS
from analysis.collect.backbone.weights import load_backbone
from analysis.collect.plan.weights_keys import list_weights_keys
from tests.factories.backbones import make_backbone, tiny_variant

TINY = tiny_variant(name="tiny")


def states() -> dict[str, dict[str, torch.Tensor]]:
    teacher, student, plain = (make_backbone(TINY, seed=seed).state_dict() for seed in (1, 2, 3))
    return {
        "teacher": {f"backbone._orig_mod.{name}": tensor for name, tensor in teacher.items()},
        "student": {f"module.{name}": tensor for name, tensor in student.items()},
        "model": plain,
    }


@pytest.fixture(autouse=True)
def _tiny_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANTS, "tiny", TINY)


def test_keys_stand_in_the_order_of_the_run_and_lead_to_their_backbones(tmp_path: Path) -> None:
    path = tmp_path / "all.pth"
    torch.save({"epoch": 3, "optimizer": {"state": {0: torch.ones(2)}}, **states()}, path)
    keys = list_weights_keys(path)
    assert keys == ["teacher.backbone", "model", "student.module"]
    for key, seed in zip(keys, (1, 3, 2), strict=True):
        backbone, info = load_backbone("tiny", path, key=key)
        assert torch.equal(backbone.norm.weight, make_backbone(TINY, seed=seed).norm.weight)
        assert info.format.endswith(f"under {key}.")
    assert load_backbone("tiny", path)[1].format.endswith(f"under {keys[0]}.")


def test_names_that_two_states_share_are_told_apart(tmp_path: Path) -> None:
    """Pickle writes a name once that is one object in memory."""
    first, second = (make_backbone(TINY, seed=seed).state_dict() for seed in (1, 2))
    path = tmp_path / "ema.pt"
    torch.save({"ema": {name: second[name] for name in first}, "net": first}, path)
    assert list_weights_keys(path) == ["ema", "net"]


def test_one_backbone_of_a_safetensors_file_is_the_top_level(tmp_path: Path) -> None:
    save_file(make_backbone(TINY).state_dict(), tmp_path / "w.safetensors")
    assert list_weights_keys(tmp_path / "w.safetensors") == ["."]


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x80\2}q\0."])
def test_a_file_that_tells_nothing_has_no_keys(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    assert list_weights_keys(tmp_path / "x.pth") == []


def test_a_key_that_names_one_exactly_takes_no_other_that_ends_alike(tmp_path: Path) -> None:
    plain, average = (make_backbone(TINY, seed=seed).state_dict() for seed in (1, 2))
    torch.save({"model": plain, "ema": {"model": average}}, tmp_path / "w.pt")
    backbone, _ = load_backbone("tiny", tmp_path / "w.pt", key="model")
    assert torch.equal(backbone.norm.weight, plain["norm.weight"])
