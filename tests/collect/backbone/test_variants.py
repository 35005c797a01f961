from __future__ import annotations

import subprocess
import sys

import pytest

from analysis.collect.backbone.variants import VARIANTS, Variant, get_variant
from analysis.errors import ConfigError

RELEASED_HIDDEN_WIDTHS = {
    "dinov3_vits16": 1536,
    "dinov3_vits16plus": 1536,
    "dinov3_vitb16": 3072,
    "dinov3_vitl16": 4096,
    "dinov3_vitl16plus": 4096,
    "dinov3_vith16plus": 5120,
    "dinov3_vit7b16": 8192,
    "dinov3_vitt16_demo": 512,
}


def test_every_released_backbone_and_the_demo_are_known() -> None:
    assert set(VARIANTS) == set(RELEASED_HIDDEN_WIDTHS)
    assert all(get_variant(name).name == name for name in VARIANTS)


@pytest.mark.parametrize(("name", "width"), RELEASED_HIDDEN_WIDTHS.items())
def test_hidden_width_is_the_released_one(name: str, width: int) -> None:
    assert get_variant(name).ffn_hidden == width


@pytest.mark.parametrize("name", VARIANTS)
def test_heads_have_64_channels_and_128_in_the_7b(name: str) -> None:
    variant = get_variant(name)
    assert variant.head_dim == (128 if name == "dinov3_vit7b16" else 64)
    assert variant.head_dim * variant.n_heads == variant.embed_dim


@pytest.mark.parametrize(("alignment", "width"), [(1, 266), (8, 272), (64, 320)])
def test_swiglu_width_is_rounded_down_by_two_thirds_then_up_to_the_alignment(
    alignment: int, width: int
) -> None:
    variant = Variant("odd", 100, 1, 1, "swiglu", 4, ffn_alignment=alignment)
    assert variant.ffn_hidden == width


def test_unknown_name_is_refused_with_the_names_that_work() -> None:
    with pytest.raises(ConfigError, match="'dinov2_vits14'") as caught:
        get_variant("dinov2_vits14")
    assert all(name in str(caught.value) for name in VARIANTS)


@pytest.mark.parametrize("name", ["dinov3_convnext_tiny", "dinov3_ConvNeXt_large"])
def test_convnext_is_refused_by_name_with_the_reason(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*ConvNeXt.*no CLS token.*dinov3_vits16"):
        get_variant(name)


def test_variants_do_not_import_torch() -> None:
    script = "import sys, analysis.collect.backbone.variants; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("facebook/dinov3-vits16-pretrain-lvd1689m", "dinov3_vits16"),
        ("facebook/dinov3-vits16plus-pretrain-lvd1689m", "dinov3_vits16plus"),
        ("facebook/dinov3-vith16plus-pretrain-lvd1689m", "dinov3_vith16plus"),
        ("facebook/dinov3-vit7b16-pretrain-sat493m", "dinov3_vit7b16"),
        ("models--facebook--dinov3-vitl16-pretrain-lvd1689m", "dinov3_vitl16"),
        ("dinov3_vit7b", "dinov3_vit7b16"),
        ("dinov3_vitl16_pretrain_lvd1689m-8aa4cbdd.pth", "dinov3_vitl16"),
        ("DINOv3-ViTB16", "dinov3_vitb16"),
        ("vitl16", "dinov3_vitl16"),
        ("vit_small_patch16_dinov3", "dinov3_vits16"),
        ("vit_small_plus_patch16_dinov3.lvd1689m", "dinov3_vits16plus"),
        ("timm/vit_base_patch16_dinov3_qkvb.lvd1689m", "dinov3_vitb16"),
        ("timm/vit_large_patch16_dinov3.sat493m", "dinov3_vitl16"),
        ("vit_huge_plus_patch16_dinov3", "dinov3_vith16plus"),
        ("vit_7b_patch16_dinov3.lvd1689m", "dinov3_vit7b16"),
        ("/models/dinov3-vits16/", "dinov3_vits16"),
    ],
)
def test_other_names_of_a_backbone_are_understood(name: str, variant: str) -> None:
    assert get_variant(name).name == variant


@pytest.mark.parametrize(
    "name",
    ["vit_large_patch16_224", "dinov2_vitl14", "vit_large_patch14_dinov2", "dinov3_vits160", "7b"],
)
def test_names_of_other_networks_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="Unknown backbone"):
        get_variant(name)
