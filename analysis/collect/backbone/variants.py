"""Sizes of the released DINOv3 vision transformers, by name. Does not import torch.

Source of the numbers: DINOv3 (Siméoni et al. 2025), table of the model family, and the released
checkpoints. Whatever the whole family shares is a default of `Variant`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from analysis.errors import ConfigError


@dataclass(frozen=True)
class Variant:
    """Everything that decides the parameter names and shapes of one backbone."""

    name: str
    embed_dim: int
    """Channels of the residual stream."""
    depth: int
    """Number of blocks."""
    n_heads: int
    ffn: Literal["mlp", "swiglu"] = "mlp"
    ffn_ratio: int = 4
    """Hidden width over `embed_dim`, before SwiGLU's factor 2/3."""
    ffn_alignment: int = 8
    """SwiGLU's hidden width is rounded up to a multiple of this."""
    qkv_bias: bool = True
    n_storage_tokens: int = 4
    """Registers that stand between the CLS token and the patches."""
    patch_size: int = 16
    """Edge of a patch, in pixels."""
    rope_base: float = 100.0

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.embed_dim // self.n_heads

    @property
    def ffn_hidden(self) -> int:
        """Hidden width of the feed-forward part of a block."""
        width = self.embed_dim * self.ffn_ratio
        if self.ffn == "mlp":
            return width
        gated = width * 2 // 3
        return -(-gated // self.ffn_alignment) * self.ffn_alignment


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("dinov3_vits16", 384, 12, 6),
        Variant("dinov3_vits16plus", 384, 12, 6, "swiglu", 6),
        Variant("dinov3_vitb16", 768, 12, 12),
        Variant("dinov3_vitl16", 1024, 24, 16),
        Variant("dinov3_vitl16plus", 1024, 24, 16, "swiglu", 6),
        Variant("dinov3_vith16plus", 1280, 32, 20, "swiglu", 6),
        Variant("dinov3_vit7b16", 4096, 40, 32, "swiglu", 3, 64, qkv_bias=False),
        # Ours, not released: small enough to be extracted on a laptop in seconds.
        Variant("dinov3_vitt16_demo", 192, 12, 3, "swiglu", 4),
    )
}
"""Every backbone that can be measured, by the name that a training config gives it."""


_TIMM_SIZES = {
    "small": "s16",
    "small_plus": "s16plus",
    "base": "b16",
    "large": "l16",
    "large_plus": "l16plus",
    "huge_plus": "h16plus",
    "7b": "7b16",
}
_HUB_CACHE = "models__"


def find_variant_name(text: str) -> str | None:
    """Find which backbone a name stands for, also where more follows after `_`, `-` or `.`.

    Understands the released names (`dinov3_vitl16_pretrain_lvd1689m`, `dinov3_vit7b`), ids of the
    hub (`facebook/dinov3-vitl16-pretrain-lvd1689m`), folders of its cache, and timm's names
    (`timm/vit_large_patch16_dinov3.lvd1689m`).

    Returns:
        A name of `VARIANTS`, or None.
    """
    name = text.replace("\\", "/").rstrip("/").rpartition("/")[2].lower().replace("-", "_")
    if name.startswith(_HUB_CACHE):
        name = name.rpartition("__")[2]
    timm = re.match(r"vit_(\w+?)_patch16_dinov3(?=[_.]|$)", name)
    if timm and timm[1] in _TIMM_SIZES:
        return f"dinov3_vit{_TIMM_SIZES[timm[1]]}"
    name = re.sub(r"^(?:dinov3_)?vit7b(?:16)?(?=[_.]|$)", "dinov3_vit7b16", name)
    for known in VARIANTS:
        if re.match(rf"(?:{re.escape(known.lower())}|{_short(known)})(?=[_.]|$)", name):
            return known
    return None


def _short(known: str) -> str:
    return re.escape(known.lower().removeprefix("dinov3_"))


def get_variant(name: str) -> Variant:
    """Look up a backbone by the name that `model.backbone` of a training config gives.

    Other spellings count too (`find_variant_name`).

    Raises:
        ConfigError: If the name is unknown, or names a ConvNeXt, which has neither a CLS token
            nor transformer blocks. The message lists the names that work.
    """
    if name in VARIANTS:
        return VARIANTS[name]
    if other := find_variant_name(name):
        return VARIANTS[other]
    names = ", ".join(VARIANTS)
    if "convnext" in name.lower():
        raise ConfigError(
            f"Backbone {name!r} is a ConvNeXt: it has no CLS token and no transformer blocks, so"
            f" there is nothing to measure layer by layer. Use one of: {names}."
        )
    raise ConfigError(f"Unknown backbone {name!r}. Expected one of: {names}.")
