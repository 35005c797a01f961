"""One backbone of a file is measured, by one order, and it is said which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from analysis.collect.backbone.variants import VARIANTS
from analysis.collect.backbone.weights import WeightsInfo, load_backbone
from analysis.errors import CheckpointError
from tests.factories.backbones import make_backbone, tiny_variant

TINY = tiny_variant(name="tiny")
State = dict[str, Tensor]


@pytest.fixture(autouse=True)
def _tiny_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANTS, "tiny", TINY)


def state_of(seed: int) -> State:
    return make_backbone(TINY, seed).state_dict()


def load(path: Path, content: Any, key: str | None = None) -> tuple[Tensor, WeightsInfo]:
    torch.save(content, path / "weights.pt")
    backbone, info = load_backbone("tiny", path / "weights.pt", key=key)
    return backbone.norm.weight, info


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


NESTS = [
    *("model_state_dict", "model_ema", "ema", "net", "module", "backbone", "student", "params"),
    *("state_dict_ema", "network", "weights", "encoder", "teacher_momentum"),
]


@pytest.mark.parametrize("key", NESTS)
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.model.", "0.backbone.module."])
def test_only_backbone_is_read_under_any_key_and_wrapper(
    tmp_path: Path, key: str, prefix: str
) -> None:
    state = state_of(1)
    weight, info = load(tmp_path, {"epoch": 3, key: under(prefix, state), "loss": 0.1})
    assert torch.equal(weight, state["norm.weight"])
    assert info.notices == ()


def test_backbone_is_found_four_levels_down(tmp_path: Path) -> None:
    state = state_of(1)
    content = {"checkpoint": {"trainer": {"modules": {"student": state}, "step": 3}}}
    weight, info = load(tmp_path, content)
    assert torch.equal(weight, state["norm.weight"])
    assert info.format == "official under checkpoint.trainer.modules.student."


ORDER = ["teacher", "model_ema", "model", "student", "gram_teacher"]


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("nested", [True, False], ids=["dicts", "names"])
def test_first_of_the_documented_order_is_measured(
    tmp_path: Path, first: int, nested: bool
) -> None:
    states = {name: state_of(i) for i, name in enumerate(ORDER)}
    there = list(reversed(ORDER[first:]))  # the order in the file decides nothing
    content: dict[str, Any] = {}
    for name in there:
        content |= {name: states[name]} if nested else under(f"{name}.", states[name])
    weight, info = load(tmp_path, content)
    assert torch.equal(weight, states[ORDER[first]]["norm.weight"])
    assert len(info.notices) == 1
    assert f"; {ORDER[first]} is measured (order: teacher, EMA, plain" in info.notices[0]


@pytest.mark.parametrize("name", ["ema_model.module", "swa_model", "state_dict_ema", "averaged"])
def test_average_comes_before_the_raw_weights_beside_it(tmp_path: Path, name: str) -> None:
    raw, averaged = state_of(1), state_of(2)
    weight, info = load(tmp_path, {"state_dict": raw} | under(f"{name}.", averaged))
    assert torch.equal(weight, averaged["norm.weight"])
    assert f"{name} is measured" in info.notices[0]


@pytest.mark.parametrize("name", ["shadow_params", "ema", "ema_params"])
def test_an_average_without_names_is_not_measured_and_said(tmp_path: Path, name: str) -> None:
    raw, averaged = state_of(1), state_of(2)
    content = {"state_dict": raw, "averages": {name: list(averaged.values()), "decay": 0.9}}
    weight, info = load(tmp_path, content)
    assert torch.equal(weight, raw["norm.weight"])
    assert f"averages.{name} is an average" in " ".join(info.notices)
    assert "state_dict is measured" in " ".join(info.notices)


def test_name_that_only_contains_the_letters_is_no_average(tmp_path: Path) -> None:
    plain, student = state_of(1), state_of(2)
    weight, _ = load(tmp_path, {"schema": plain, "student": student})
    assert torch.equal(weight, plain["norm.weight"])


@pytest.mark.parametrize("key", ["student", "model.student", "student.backbone"])
def test_key_chooses_another(tmp_path: Path, key: str) -> None:
    student, teacher = state_of(1), state_of(2)
    content = {"model": under("student.backbone.", student) | under("teacher.backbone.", teacher)}
    weight, info = load(tmp_path, content, key)
    assert torch.equal(weight, student["norm.weight"])
    assert info.format == "official under model.student.backbone."


def test_dot_as_key_is_the_top_level(tmp_path: Path) -> None:
    plain, teacher = state_of(1), state_of(2)
    weight, _ = load(tmp_path, plain | under("teacher.", teacher), ".")
    assert torch.equal(weight, plain["norm.weight"])


def test_key_that_leads_nowhere_is_refused_by_what_is_there(tmp_path: Path) -> None:
    content = {"student": state_of(1), "teacher": state_of(2)}
    with pytest.raises(CheckpointError, match=r"'ema' \(--weights-key\).*student, teacher"):
        load(tmp_path, content, "ema")


def test_two_of_equal_standing_are_refused(tmp_path: Path) -> None:
    content = {"left": state_of(1), "right": state_of(2)}
    with pytest.raises(CheckpointError, match=r"left, right. Choose one with --weights-key"):
        load(tmp_path, content)


def test_module_that_was_registered_twice_is_one_backbone(tmp_path: Path) -> None:
    state = state_of(1)
    weight, _ = load(tmp_path, under("backbone.", state) | under("net.backbone.", state))
    assert torch.equal(weight, state["norm.weight"])


def test_size_that_is_asked_for_comes_before_the_order(tmp_path: Path) -> None:
    """A distilled student beside its teacher of another size."""
    student = state_of(1)
    teacher = make_backbone(tiny_variant(depth=3, dim=96), seed=2).state_dict()
    weight, _ = load(tmp_path, {"student": student, "teacher": teacher})
    assert torch.equal(weight, student["norm.weight"])


HEADS = ["head.weight", "fc_norm.weight", "classifier.2.bias", "decode_head.conv.weight", "fc"]


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("place", ["", "backbone."])
def test_head_that_is_an_attribute_of_the_backbone_is_left_aside_and_said(
    tmp_path: Path, name: str, place: str
) -> None:
    state = state_of(1)
    weight, info = load(tmp_path, under(place, state | {name: torch.full((3,), torch.nan)}))
    assert torch.equal(weight, state["norm.weight"])
    assert len(info.notices) == 1
    assert f"{place}{name}" in info.notices[0]


@pytest.mark.parametrize("name", ["pos_bias", "prompt.0.weight", "adapters.1.down.weight"])
def test_what_acts_inside_the_backbone_is_not_left_aside(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=f"1 without a place: {name}"):
        load(tmp_path, state_of(1) | {name: torch.zeros(3)})


def test_backbone_without_registers_and_mask_is_built_as_it_is(tmp_path: Path) -> None:
    theirs = make_backbone(tiny_variant(n_storage_tokens=0), seed=3)
    for name, buffer in theirs.named_buffers():
        if name.endswith("bias_mask"):
            buffer.fill_(1)  # the recipe adds the key bias
    dropped = ("storage_tokens", "bias_mask")
    state = {k: v for k, v in theirs.state_dict().items() if not k.endswith(dropped)}
    torch.save({"teacher": under("backbone.", state)}, tmp_path / "weights.pt")
    backbone, info = load_backbone("tiny", tmp_path / "weights.pt")
    pixels = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        assert torch.equal(backbone(pixels), theirs(pixels))
    assert backbone.n_storage_tokens == 0
    assert "0 storage tokens" in info.notices[0]


@pytest.mark.parametrize("count", [1, 7])
def test_registers_are_as_many_as_the_file_has(tmp_path: Path, count: int) -> None:
    theirs = make_backbone(tiny_variant(n_storage_tokens=count))
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    backbone, info = load_backbone("tiny", tmp_path / "weights.pt")
    assert backbone.n_storage_tokens == count
    assert f"{count} storage tokens (registers), the released tiny has 4" in info.notices[0]


def test_mask_that_only_one_block_lacks_is_named(tmp_path: Path) -> None:
    state = state_of(1)
    del state["blocks.1.attn.qkv.bias_mask"]
    with pytest.raises(CheckpointError, match=r"1 missing: blocks\.1\.attn\.qkv\.bias_mask"):
        load(tmp_path, state)


def test_network_of_another_kind_is_told_by_its_positions(tmp_path: Path) -> None:
    state = {k: v for k, v in state_of(1).items() if "storage" not in k and "rope" not in k}
    with pytest.raises(CheckpointError, match="pos_embed is the position code of another kind"):
        load(tmp_path, state | {"pos_embed": torch.zeros(1, 5, 48)})


def test_two_backbones_of_one_file_have_two_digests(tmp_path: Path) -> None:
    content = {"student": state_of(1), "teacher": state_of(2)}
    usual, teacher, student = (
        load(tmp_path, content, key)[1].sha256 for key in (None, "teacher", "student")
    )
    assert usual == teacher
    assert student != teacher
