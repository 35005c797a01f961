"""How far changed block outputs lie from the unchanged ones, image by image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from analysis.collect.backbone.vit import DinoVisionTransformer


def compare_outputs(
    changed: Tensor, plain: Tensor, channels: Sequence[int], n_prefix: int
) -> Tensor:
    """Measure one block output, float32 ``[3, B, 2]``: measure, image, role (CLS, patch).

    Measures: ``|| x' - x || / || x ||`` and the tokens' mean cosine, both over the channels that
    were left alone; and the mean token norm of ``x'`` over that of ``x``, over all channels.

    Args:
        changed: Block output with the intervention, ``[B, T, C]``.
        plain: Without it.
        channels: What the intervention fixed.
        n_prefix: CLS and registers.
    """
    # factors, since picking channels by a mask copies them one by one
    kept = torch.ones(plain.shape[-1], device=plain.device)
    kept[list(channels)] = 0
    measures = []
    for part in (slice(0, 1), slice(n_prefix, None)):
        new, old = changed[:, part].float(), plain[:, part].float()
        norm = new.norm(dim=-1).mean(dim=1) / old.norm(dim=-1).mean(dim=1)
        new, old = new * kept, old * kept
        relative = (new - old).flatten(1).norm(dim=1) / old.flatten(1).norm(dim=1)
        lengths = (new.norm(dim=-1) * old.norm(dim=-1)).clamp_min(torch.finfo().tiny)
        cosine = (torch.linalg.vecdot(new, old) / lengths).mean(dim=1)
        measures.append(torch.stack([relative, cosine, norm]))
    return torch.stack(measures, dim=-1)


def final_vectors(backbone: DinoVisionTransformer, output: Tensor) -> Tensor:
    """Return what a head reads, float32 ``[B, 2, C]``: the normed CLS and mean normed patch."""
    normed = backbone.apply_norm(output).float()
    return torch.stack([normed[:, 0], normed[:, backbone.n_prefix_tokens :].mean(dim=1)], dim=1)


def compare_final(changed: Tensor, plain: Tensor) -> Tensor:
    """Measure final vectors ``[B, 2, C]``: relative change and cosine, float32 ``[2, B, 2]``."""
    relative = (changed - plain).norm(dim=-1) / plain.norm(dim=-1)
    cosine = torch.nn.functional.cosine_similarity(changed, plain, dim=-1)
    return torch.stack([relative, cosine])
