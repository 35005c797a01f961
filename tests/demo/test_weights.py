"""The demo's backbone and head, as files that the product reads the way it reads anyone's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from torch import Tensor

from analysis.backbone.vit import DinoVisionTransformer
from demo.__main__ import make
from demo.backbone import MASSIVE, random_backbone
from demo.heads import WEIGHTS_NAME, new_backbone


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    (root / "data").mkdir()
    (root / "data" / "train.csv").touch()
    make(root)
    return root / "weights"


@pytest.fixture(scope="module")
def backbone(weights: Path) -> DinoVisionTransformer:
    state = torch.load(weights / WEIGHTS_NAME, weights_only=True)
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    backbone = new_backbone()
    backbone.load_state_dict(state)
    return backbone.eval()


@torch.no_grad()
def _outputs(backbone: DinoVisionTransformer) -> list[Tensor]:
    pixels = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    return [tokens[:, 5:] for tokens in backbone.forward_blocks(pixels)][1:]


def test_the_backbone_is_the_same_every_time(backbone: DinoVisionTransformer) -> None:
    again = random_backbone().state_dict()
    for name, tensor in backbone.state_dict().items():
        torch.testing.assert_close(again[name].half().float(), tensor)


def test_the_massive_channels_dominate_the_later_blocks_alone(
    backbone: DinoVisionTransformer,
) -> None:
    sizes = torch.stack([tokens.abs().mean((0, 1)) for tokens in _outputs(backbone)])
    ratios = sizes[:, list(MASSIVE)].amax(1) / sizes.median(1).values
    assert ratios[0] < 10
    assert (ratios[3:] > 100).all()


def test_the_output_norm_scales_them_down(backbone: DinoVisionTransformer) -> None:
    with torch.no_grad():
        sizes = backbone.norm(_outputs(backbone)[-1]).abs().mean((0, 1))
    assert (sizes[list(MASSIVE)] < 3 * sizes.median()).all()


def test_the_adapter_changes_later_blocks_visibly(
    weights: Path, backbone: DinoVisionTransformer
) -> None:
    # The file is our own, made above: its enums are refused by weights_only=True.
    head = torch.load(weights / "head" / "infer_head.pt", weights_only=False)
    adapted = new_backbone()
    adapted.load_state_dict(backbone.state_dict())
    model = get_peft_model(adapted.eval(), LoraConfig(**head["peft"]["config"]))
    result = set_peft_model_state_dict(model, head["peft"]["state_dict"])
    assert not result.unexpected_keys
    changes = [
        ((on - off).norm() / off.norm()).item()
        for on, off in zip(_outputs(adapted), _outputs(backbone), strict=True)
    ]
    assert changes[-1] > 0.05
    assert changes[-1] > 2 * changes[2]
