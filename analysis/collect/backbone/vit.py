"""The DINOv3 vision transformer, for evaluation, in the official parameter and module names.

Checkpoints and adapters are keyed by these names and reach modules by their types (`proj` is a
`Conv2d` in the patch embedding and a `Linear` in the attention), so neither may change.

Tokens have the shape ``[B, 1 + S + N, C]``: the CLS token, ``S`` storage tokens (registers), then
``N`` patches row by row. The residual stream is float32 whatever autocast does inside a block.
Training-time parts (stochastic depth, masking, jitter of the positions) are left out: every call
is the deterministic evaluation pass. Position code: axial RoPE (Su et al. 2021) on the centres of
the patches, as in DINOv3 (Siméoni et al. 2025).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from analysis.collect.backbone.variants import Variant
from analysis.errors import ConfigError
from analysis.vocabulary import LAYER_NORM_EPS


def rope_periods(variant: Variant) -> Tensor:
    """Compute the wave lengths of the position code, float32 ``[head_dim / 4]``.

    Geometric from 1 to the base: ``base ** (4 i / head_dim)``. Released checkpoints store these
    rounded; the stored ones win.
    """
    # on the meta device arange imports a compiler, which takes a second
    exponents = 2 * torch.arange(variant.head_dim // 4, dtype=torch.float32, device="cpu")
    return variant.rope_base ** (exponents / (variant.head_dim // 2))


def key_bias_mask(embed_dim: int) -> Tensor:
    """Build the ``bias_mask`` of `attn.qkv`, float32 ``[3 C]``: ones, zeros in the K third."""
    mask = torch.ones(3, embed_dim)
    mask[1] = 0
    return mask.flatten()


class RopePositionEmbedding(nn.Module):
    """Rotation angles of the patch centres."""

    periods: Tensor

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.register_buffer("periods", rope_periods(variant).to(torch.get_default_device()))

    def forward(self, rows: int, cols: int, n_prefix: int) -> tuple[Tensor, Tensor]:
        """Compute sine and cosine for a patch grid, float32 ``[n_prefix + rows * cols, head_dim]``.

        The ``n_prefix`` tokens before the patches have no position: their angle is zero, which
        rotates by nothing, so that attention can treat all tokens alike.
        """
        periods = self.periods.float()
        y = self._centres(rows, periods.device)[:, None].expand(rows, cols)
        x = self._centres(cols, periods.device)[None, :].expand(rows, cols)
        coords = torch.stack((y, x), dim=-1).reshape(rows * cols, 2, 1)
        angles = (2 * math.pi * coords / periods).flatten(1).tile(2)
        angles = F.pad(angles, (0, 0, n_prefix, 0))
        return angles.sin(), angles.cos()

    @staticmethod
    def _centres(n: int, device: torch.device) -> Tensor:
        return 2 * (torch.arange(n, dtype=torch.float32, device=device) + 0.5) / n - 1


class PatchEmbed(nn.Module):
    """Cuts an image into patches and projects each of them."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        size = variant.patch_size
        self.proj = nn.Conv2d(3, variant.embed_dim, kernel_size=size, stride=size)

    def forward(self, pixels: Tensor) -> Tensor:
        """Project ``[B, 3, H, W]`` to ``[B, N, C]``; right and bottom rests are cut off."""
        return self.proj(pixels).flatten(2).transpose(1, 2)


class KeyMaskedLinear(nn.Linear):
    """The fused Q, K, V projection, whose bias is multiplied by the stored buffer ``bias_mask``.

    The mask zeroes the K third: softmax ignores a constant in the keys, and checkpoints may hold
    anything there. Without a bias there is no mask either.
    """

    bias_mask: Tensor

    def __init__(self, embed_dim: int, *, bias: bool) -> None:
        super().__init__(embed_dim, 3 * embed_dim, bias=bias)
        if bias:
            self.register_buffer("bias_mask", key_bias_mask(embed_dim))

    def forward(self, input: Tensor) -> Tensor:
        """Project ``[B, T, C]`` to ``[B, T, 3 C]``."""
        bias = None if self.bias is None else self.bias * self.bias_mask
        return F.linear(input, self.weight, bias)


def rotate(x: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
    """Rotate the pairs (i, i + D/2) of ``[B, heads, T, D]`` in float32; keeps the dtype of x."""
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (x.float() * cos + turned * sin).to(x.dtype)


class SelfAttention(nn.Module):
    """Multi-head attention with rotated queries and keys."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.n_heads = variant.n_heads
        self.qkv = KeyMaskedLinear(variant.embed_dim, bias=variant.qkv_bias)
        self.proj = nn.Linear(variant.embed_dim, variant.embed_dim)

    def forward(self, x: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
        """Mix the tokens ``[B, T, C]``; ``sin`` and ``cos`` are float32 ``[T, head_dim]``."""
        qkv = self.qkv(x).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        mixed = F.scaled_dot_product_attention(rotate(q, sin, cos), rotate(k, sin, cos), v)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Feed-forward part with one hidden layer and the exact (erf) GELU."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.fc1 = nn.Linear(variant.embed_dim, variant.ffn_hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(variant.ffn_hidden, variant.embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map every token of ``[B, T, C]`` on its own."""
        return self.fc2(self.act(self.fc1(x)))


class SwiGluFfn(nn.Module):
    """Feed-forward part with a gated hidden layer (Shazeer 2020)."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.w1 = nn.Linear(variant.embed_dim, variant.ffn_hidden)
        self.w2 = nn.Linear(variant.embed_dim, variant.ffn_hidden)
        self.w3 = nn.Linear(variant.ffn_hidden, variant.embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map every token of ``[B, T, C]`` on its own."""
        return self.w3(F.silu(self.w1(x)) * self.w2(x))


class LayerScale(nn.Module):
    """A learned factor per channel."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((variant.embed_dim,), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        """Scale ``[B, T, C]``; a lower-precision input comes back in the precision of gamma."""
        return x * self.gamma


class Block(nn.Module):
    """One transformer block. Plain tensors in and out, so its parts can be compiled."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(variant.embed_dim, eps=LAYER_NORM_EPS)
        self.attn = SelfAttention(variant)
        self.ls1 = LayerScale(variant)
        self.norm2 = nn.LayerNorm(variant.embed_dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(variant) if variant.ffn == "mlp" else SwiGluFfn(variant)
        self.ls2 = LayerScale(variant)

    def forward(self, x: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
        """Add attention and feed-forward to the residual stream ``[B, T, C]``."""
        return self.add(x, self.norm1(x), sin, cos)

    def add(self, x: Tensor, normalized: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
        """Do the same with ``norm1(x)`` computed already."""
        x = x + self.ls1(self.attn(normalized, sin, cos))
        return x + self.ls2(self.mlp(self.norm2(x)))


class DinoVisionTransformer(nn.Module):
    """A DINOv3 backbone whose block outputs can be read one at a time.

    Args:
        variant: The sizes, from `analysis.collect.backbone.variants.get_variant`.
        untied_norms: Whether CLS and storage tokens have an output norm of their own, `cls_norm`.
        device: Where the parameters are made; ``"meta"`` allocates nothing.

    Parameters are float32 and hold PyTorch's default initialisation: load a checkpoint.
    """

    def __init__(
        self,
        variant: Variant,
        *,
        untied_norms: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.variant = variant
        self.embed_dim = variant.embed_dim
        self.depth = variant.depth
        self.patch_size = variant.patch_size
        self.n_storage_tokens = variant.n_storage_tokens
        with torch.device(torch.get_default_device() if device is None else device):
            self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dim))
            self.storage_tokens = nn.Parameter(
                torch.zeros(1, self.n_storage_tokens, self.embed_dim)
            )
            # Part of every official checkpoint; only masked-image training reads it.
            self.mask_token = nn.Parameter(torch.zeros(1, self.embed_dim))
            self.patch_embed = PatchEmbed(variant)
            self.rope_embed = RopePositionEmbedding(variant)
            self.blocks = nn.ModuleList(Block(variant) for _ in range(self.depth))
            self.norm = nn.LayerNorm(self.embed_dim, eps=LAYER_NORM_EPS)
            self.cls_norm = (
                nn.LayerNorm(self.embed_dim, eps=LAYER_NORM_EPS) if untied_norms else None
            )

    @property
    def n_prefix_tokens(self) -> int:
        """Tokens that stand before the first patch: CLS and storage tokens."""
        return 1 + self.n_storage_tokens

    def patch_grid(self, height: int, width: int) -> tuple[int, int]:
        """Count the whole patches of an image, as (rows, columns).

        Args:
            height: Pixels. A rest that the patch size does not divide is cut off at the bottom.
            width: Pixels. The rest is cut off at the right.

        Raises:
            ConfigError: If the image is smaller than one patch.
        """
        rows, cols = height // self.patch_size, width // self.patch_size
        if rows < 1 or cols < 1:
            raise ConfigError(
                f"Image size {width}x{height} (width x height) is smaller than one patch of"
                f" {self.patch_size}x{self.patch_size} pixels: choose a larger data.image_size."
            )
        return rows, cols

    def forward_blocks(self, pixels: Tensor) -> Iterator[Tensor]:
        """Yield the tokens that enter the first block, then the output of every block.

        One tensor at a time: nothing earlier is kept, and each block runs only when its output is
        asked for. Do not change what is yielded in place: the next block reads it. Autocast,
        inference mode and the like must stay as they are until the last item was taken.

        Args:
            pixels: Normalised images, float ``[B, 3, H, W]``, on the device of the parameters.

        Yields:
            ``depth + 1`` tensors ``[B, 1 + S + N, C]``, float32, residual-stream units.

        Raises:
            ValueError: If ``pixels`` is not ``[B, 3, H, W]``.
            ConfigError: If the images are smaller than one patch.
        """
        tokens, sin, cos = self.embed(pixels)
        yield tokens
        for block in self.blocks:
            tokens = block(tokens, sin, cos)
            yield tokens

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute the normed output tokens ``[B, 1 + S + N, C]`` of images ``[B, 3, H, W]``."""
        tokens = pixels
        for tokens in self.forward_blocks(pixels):  # noqa: B007
            pass
        return self.apply_norm(tokens)

    def apply_norm(self, tokens: Tensor) -> Tensor:
        """Apply the shared output norm; `cls_norm` to CLS and storage tokens where untied."""
        if self.cls_norm is None:
            return self.norm(tokens)
        prefix, patches = tokens.split(
            (self.n_prefix_tokens, tokens.shape[1] - self.n_prefix_tokens), dim=1
        )
        return torch.cat((self.cls_norm(prefix), self.norm(patches)), dim=1)

    def embed(
        self, pixels: Tensor, *, embed_patches: Callable[[PatchEmbed, Tensor], Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute what the blocks take: the tokens that enter the first one, and all positions.

        Args:
            pixels: As of `forward_blocks`.
            embed_patches: Does what `patch_embed` does, in another way.

        Returns:
            Tokens ``[B, 1 + S + N, C]``, sine and cosine ``[1 + S + N, head_dim]``, all float32.

        Raises:
            ValueError: If ``pixels`` is not ``[B, 3, H, W]``.
            ConfigError: If the images are smaller than one patch.
        """
        if pixels.ndim != 4 or pixels.shape[1] != 3:
            raise ValueError(f"pixels must be [B, 3, H, W], got {list(pixels.shape)}")
        rows, cols = self.patch_grid(*pixels.shape[-2:])
        sin, cos = self.rope_embed(rows, cols, self.n_prefix_tokens)
        # Autocast runs the projection in bf16; the residual stream starts in float32 all the same.
        embed = self.patch_embed
        patches = (embed(pixels) if embed_patches is None else embed_patches(embed, pixels)).float()
        batch = len(pixels)
        cls = self.cls_token.expand(batch, -1, -1)
        storage = self.storage_tokens.expand(batch, -1, -1)
        return torch.cat((cls, storage, patches), dim=1), sin, cos
