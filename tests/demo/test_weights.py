"""The demo's backbone and heads, read the way the product reads anyone's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from analysis.backbone.adapters import attach_adapter, measure_lora_proof
from analysis.backbone.checkpoints import load_backbone
from analysis.backbone.vit import DinoVisionTransformer
from analysis.settings import load_settings
from demo.__main__ import ROOT, make
from demo.backbone import MASSIVE, random_backbone
from demo.heads import BACKBONE, WEIGHTS_NAME


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    (root / "data").mkdir()
    (root / "data" / "train.csv").touch()
    make(root)
    return root / "weights"


@pytest.fixture(scope="module")
def backbone(weights: Path) -> DinoVisionTransformer:
    backbone, info = load_backbone(BACKBONE, weights / WEIGHTS_NAME)
    assert not info.untied_norms
    return backbone


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def _outputs(backbone: DinoVisionTransformer, pixels: Tensor) -> list[Tensor]:
    return [tokens[:, 5:] for tokens in backbone.forward_blocks(pixels)][1:]


def test_the_file_is_fp16_and_small(weights: Path) -> None:
    state = torch.load(weights / WEIGHTS_NAME, weights_only=True)
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert (weights / WEIGHTS_NAME).stat().st_size < 12e6


def test_the_random_backbone_is_the_same_every_time(backbone: DinoVisionTransformer) -> None:
    again = random_backbone().state_dict()
    for name, tensor in backbone.state_dict().items():
        torch.testing.assert_close(again[name].half().float(), tensor)


def test_the_massive_channels_dominate_the_later_blocks_alone(
    backbone: DinoVisionTransformer, pixels: Tensor
) -> None:
    outputs = _outputs(backbone, pixels)
    sizes = torch.stack([tokens.abs().mean((0, 1)) for tokens in outputs])
    ratios = sizes[:, list(MASSIVE)].amax(1) / sizes.median(1).values
    assert ratios[0] < 10
    assert (ratios[3:] > 100).all()


def test_the_output_norm_scales_them_down(backbone: DinoVisionTransformer, pixels: Tensor) -> None:
    with torch.no_grad():
        sizes = backbone.norm(_outputs(backbone, pixels)[-1]).abs().mean((0, 1))
    assert (sizes[list(MASSIVE)] < 3 * sizes.median()).all()


@pytest.mark.parametrize(
    ("config", "folder"), [("train.yaml", "head"), ("train_winter.yaml", "head_winter")]
)
def test_each_adapter_fits_its_config_and_changes_later_blocks_visibly(
    weights: Path, pixels: Tensor, config: str, folder: str
) -> None:
    backbone, state = attach_adapter(
        lambda: load_backbone(BACKBONE, weights / WEIGHTS_NAME)[0],
        weights / folder / "infer_head.pt",
        load_settings(ROOT, ROOT / "configs" / config).config,
    )
    assert state.used_lora, state.lora_error
    assert not state.warnings
    changes = measure_lora_proof(backbone, pixels)
    assert changes[-1] > 0.05
    assert changes[-1] > 2 * changes[2]
