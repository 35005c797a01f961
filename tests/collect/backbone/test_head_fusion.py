"""What a head learned about its layers: the softmax of its logits, and the norm of each layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.collect.backbone.head_file import read_head
from analysis.collect.backbone.head_fusion import describe_fusion


def fusing_state() -> dict[str, torch.Tensor]:
    return {
        "layer_logits": torch.tensor([0.0, np.log(3.0)]),
        "token_norms.0.weight": torch.tensor([1.0, 3.0]),
        "token_norms.0.bias": torch.tensor([3.0, 4.0]),
        "token_norms.1.weight": torch.tensor([2.0, 2.0]),
        "regressor.weight": torch.zeros(3, 2),
    }


def test_a_head_file_tells_the_weights_and_norms_of_its_layers(tmp_path: Path) -> None:
    path = tmp_path / "infer_head.pt"
    torch.save({"state_dict": fusing_state(), "meta": {}}, path)
    fusion = read_head(path).fusion
    assert fusion["layer_weights"] == pytest.approx([0.25, 0.75])
    assert fusion["token_norms"] == [
        {"index": 0, "gamma_mean": 2.0, "gamma_std": 1.0, "beta_rms": pytest.approx(12.5**0.5)},
        {"index": 1, "gamma_mean": 2.0, "gamma_std": 0.0},
    ]


def test_names_may_stand_below_a_module() -> None:
    state = {f"head.{name}": value for name, value in fusing_state().items()}
    assert describe_fusion(state) == describe_fusion(fusing_state())


@pytest.mark.parametrize(
    "state",
    [
        None,
        {"regressor.weight": torch.zeros(2)},
        {"layer_logits": torch.tensor([float("nan"), 0.0])},
        {"layer_logits": torch.zeros(1000)},
        {"layer_logits": torch.tensor([1, 2])},
        {"a.layer_logits": torch.zeros(2), "b.layer_logits": torch.zeros(2)},
        {"token_norms.0.bias": torch.zeros(2)},
    ],
)
def test_what_is_no_fusion_says_nothing(state: object) -> None:
    assert describe_fusion(state) == {}
