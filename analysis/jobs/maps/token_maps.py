"""Reduce every block output of one picture to maps that are small enough to keep.

Block outputs come one by one and are reduced at once: what the network keeps is one layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.jobs.maps.store import TokenMaps
from analysis.vocabulary import LAYER_NORM_EPS

COMPONENTS = 3
MAX_EXACT = 512
"""Of larger matrices the components are found by iteration, to a few thousandths."""

CLIPPED = 0.01
"""Share of the patches at either end of a component that get its full colour."""


@torch.inference_mode()
def compute_maps(
    backbone: DinoVisionTransformer,
    pixels: Tensor,
    channels: tuple[int, ...] | None = None,
    *,
    sources: tuple[str, str] = ("", ""),
    check: Callable[[], None] = lambda: None,
) -> TokenMaps:
    """Run one picture and reduce every block output to what is kept.

    Args:
        backbone: In evaluation mode.
        pixels: Normalised, float32 ``[1, 3, H, W]``.
        channels: Channels to keep; None keeps all.
        sources: Digests of weights and adapter, noted in the result.
        check: Called before each block; may raise to stop.
    """
    kept = list(range(backbone.embed_dim)) if channels is None else list(channels)
    prefix, grid = backbone.n_prefix_tokens, backbone.patch_grid(*pixels.shape[-2:])
    layers: dict[str, list[Any]] = {name: [] for name in _STACKED}
    previous: list[Tensor | None] = [None] * 3
    outputs = backbone.forward_blocks(pixels)
    next(outputs)  # what enters the first block
    for output in outputs:
        check()
        tokens = output[0].float()
        channels_first = tokens[:, kept].T
        scale = channels_first.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
        layers["tokens"].append((channels_first / scale[:, None]).half())
        layers["scale"].append(scale)
        layers["center"].append(tokens.mean(dim=1))
        variance = tokens.var(dim=1, correction=0)
        layers["inverse_std"].append((variance + LAYER_NORM_EPS).rsqrt())
        views = list(_representations(backbone, tokens))
        layers["norms"].append(torch.stack([view.norm(dim=1) for view in views]))
        colors, explained = [], []
        for place, view in enumerate(views):
            scores, share = _principal_components(view[prefix:], previous[place])
            previous[place] = scores
            colors.append(_to_colors(scores).reshape(*grid, COMPONENTS))
            explained.append(share)
        layers["colors"].append(torch.stack(colors))
        layers["explained"].append(torch.stack(explained))
    arrays = {name: torch.stack(parts).numpy() for name, parts in layers.items()}
    for name in ("norms", "colors", "explained"):  # by representation first
        arrays[name] = np.ascontiguousarray(arrays[name].swapaxes(0, 1))
    norm, cls_norm = backbone.norm, backbone.cls_norm or backbone.norm
    return TokenMaps(
        channels=np.array(kept, dtype=np.int32),
        grid=np.array(grid, dtype=np.int32),
        gamma=torch.stack([cls_norm.weight[kept], norm.weight[kept]]).numpy(),
        beta=torch.stack([cls_norm.bias[kept], norm.bias[kept]]).numpy(),
        sources=np.array(sources),
        **arrays,
    )


_STACKED = ("tokens", "scale", "center", "inverse_std", "norms", "colors", "explained")


def _representations(backbone: DinoVisionTransformer, tokens: Tensor) -> Iterator[Tensor]:
    """Yield ``[T, C]`` as pre, per_layer_ln and global_ln."""
    yield tokens
    yield F.layer_norm(tokens, tokens.shape[-1:], eps=LAYER_NORM_EPS)
    yield backbone.apply_norm(tokens[None])[0]


def _principal_components(patches: Tensor, previous: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return scores ``[N, 3]`` of the first principal components and their shares of the variance.

    A component's sign is free: it follows the layer before, so that colours do not flip through
    depth; at first its largest loading is positive.
    """
    centered = patches - patches.mean(dim=0)
    loadings = F.pad(_leading_directions(centered), (0, COMPONENTS))[:, :COMPONENTS]
    scores = centered @ loadings
    total = centered.square().sum().clamp_min(torch.finfo(torch.float32).tiny)
    share = scores.square().sum(dim=0) / total
    if previous is None:
        largest = loadings.gather(0, loadings.abs().argmax(dim=0, keepdim=True))[0]
        sign = torch.where(largest < 0, -1.0, 1.0)
    else:
        sign = torch.where((scores * previous).sum(dim=0) < 0, -1.0, 1.0)
    return scores * sign, share


def _leading_directions(centered: Tensor) -> Tensor:
    """Return the first principal directions of ``[N, C]``, columns of ``[C, <= 8]``."""
    if min(centered.shape) <= MAX_EXACT:
        with one_thread():
            return torch.linalg.svd(centered, full_matrices=False).Vh[:COMPONENTS].T
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.svd_lowrank(centered, q=COMPONENTS + 5, niter=6)[2][:, :COMPONENTS]


@contextmanager
def one_thread() -> Iterator[None]:
    """Run small work on one thread, since several would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _to_colors(scores: Tensor) -> Tensor:
    low, high = torch.quantile(scores, torch.tensor([CLIPPED, 1 - CLIPPED]), dim=0)
    width = (high - low).clamp_min(torch.finfo(torch.float32).tiny)
    return ((scores - low) / width).clamp(0, 1).mul(255).round().to(torch.uint8)
