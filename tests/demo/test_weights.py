"""The demo's backbone and heads, read the way the product reads anyone's."""

from __future__ import annotations

import json
import re

import pytest
import torch
from torch import Tensor

from analysis.collect.backbone.adapters import attach_adapter, measure_lora_proof
from analysis.collect.backbone.head_file import read_head
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.backbone.weights import load_backbone
from analysis.collect.plan.settings import load_settings
from demo.__main__ import ROOT
from demo.backbone import MASSIVE, random_backbone
from demo.card import write_card
from demo.heads import BACKBONE, WEIGHTS_NAME

WEIGHTS = ROOT / "weights"


@pytest.fixture(scope="module")
def backbone() -> DinoVisionTransformer:
    backbone, info = load_backbone(BACKBONE, WEIGHTS / WEIGHTS_NAME)
    assert not info.untied_norms
    return backbone


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def _outputs(backbone: DinoVisionTransformer, pixels: Tensor) -> list[Tensor]:
    return [tokens[:, 5:] for tokens in backbone.forward_blocks(pixels)][1:]


def test_the_files_are_fp16_and_small() -> None:
    state = torch.load(WEIGHTS / WEIGHTS_NAME, weights_only=True)
    for folder in ("head", "head_winter"):
        state |= read_head(WEIGHTS / folder / "infer_head.pt").peft_state or {}
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*.*")) < 12e6


def test_the_readme_tells_the_numbers_of_the_metrics() -> None:
    metrics = json.loads((WEIGHTS / "metrics.json").read_text(encoding="utf-8"))
    r2 = metrics["backbone"]["r2"]
    autumn, winter = (f"{r2[season]['Dry_Dead_g']:.2f}" for season in ("autumn", "winter"))
    adapted = f"{metrics['autumn']['r2']['Dry_Dead_g']:.2f}"
    channels = ", ".join(map(str, sorted(metrics["backbone"]["massive_channels"][-1]["channels"])))
    for name in ("README.md", "README.zh-CN.md"):
        story = (ROOT / name).read_text(encoding="utf-8").replace("、", ", ").replace("−", "-")
        frozen = next(part for part in story.split("\n- ") if part.startswith("`demo-frozen`"))
        assert re.findall(r"-?\d\.\d+", frozen) == [autumn, winter]
        assert f"R² {adapted}" in story
        assert channels in story


def test_training_starts_from_the_same_backbone_every_time() -> None:
    first, again = random_backbone().state_dict(), random_backbone().state_dict()
    for name, tensor in first.items():
        torch.testing.assert_close(again[name], tensor, rtol=0, atol=0)


def _ratios(backbone: DinoVisionTransformer, pixels: Tensor) -> Tensor:
    sizes = torch.stack([tokens.abs().mean((0, 1)) for tokens in _outputs(backbone, pixels)])
    return sizes[:, list(MASSIVE)].amax(1) / sizes.median(1).values


def test_training_starts_with_massive_channels_in_the_later_blocks_alone(pixels: Tensor) -> None:
    ratios = _ratios(random_backbone(), pixels)
    assert ratios[0] < 10
    assert (ratios[3:] > 100).all()


def test_the_massive_channels_survived_the_training(
    backbone: DinoVisionTransformer, pixels: Tensor
) -> None:
    assert (_ratios(backbone, pixels)[3:11] > 30).all()


def test_the_model_card_is_made_of_the_metrics_beside_it() -> None:
    metrics = json.loads((WEIGHTS / "metrics.json").read_text(encoding="utf-8"))
    assert (WEIGHTS / "README.md").read_text(encoding="utf-8") == write_card(metrics)


@pytest.mark.parametrize(
    ("config", "folder"), [("train.yaml", "head"), ("train_winter.yaml", "head_winter")]
)
def test_each_adapter_fits_its_config_and_changes_blocks_visibly(
    pixels: Tensor, config: str, folder: str
) -> None:
    backbone, state = attach_adapter(
        lambda: load_backbone(BACKBONE, WEIGHTS / WEIGHTS_NAME)[0],
        WEIGHTS / folder / "infer_head.pt",
        load_settings(ROOT, ROOT / "configs" / config).config,
    )
    assert state.used_lora, state.lora_error
    assert not state.warnings
    changes = measure_lora_proof(backbone, pixels)
    assert max(changes) > 0.01
