"""The heads, the loss and the loop that train the demo backbone and its adapters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from analysis.collect.backbone.vit import DinoVisionTransformer
from demo.biomass import TARGETS
from demo.collection import Batch, Collection, biomass_of, draw_batch
from demo.quadrats import COVERS

SHAPES = ((240, 480), (240, 240), (160, 320), (192, 192), (128, 256), (112, 160))
"""Height and width of the crops; every step takes the next one, so that no size is special."""

GRAM_SCALE = 20.0
"""Grams that count as one unit of the loss."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn."""

    steps: int
    batch_tokens: int
    """Patches per step; the number of crops follows from their shape."""
    learning_rate: float
    weight_decay: float = 0.05


class QuadratHead(nn.Module):
    """Cover shares of every patch, and biomass of the image from CLS and mean patch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cover = nn.Linear(channels, len(COVERS))
        self.biomass = nn.Sequential(
            nn.Linear(2 * channels, 256), nn.GELU(), nn.Linear(256, len(TARGETS))
        )

    def forward(self, tokens: Tensor, n_prefix: int) -> tuple[Tensor, Tensor]:
        """Map normed tokens ``[B, T, C]`` to cover logits ``[B, N, 4]`` and grams ``[B, 3]``."""
        patches = tokens[:, n_prefix:]
        pooled = torch.cat((tokens[:, 0], patches.mean(1)), dim=-1)
        return self.cover(patches).float(), self.biomass(pooled).float() * GRAM_SCALE


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Compute in bf16 on a GPU; in float32 on a CPU, where bf16 would only be slow."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def loss_of(backbone: DinoVisionTransformer, head: QuadratHead, batch: Batch) -> Tensor:
    """Soft cross-entropy of the patches' cover plus Huber loss of the biomass."""
    with autocast(batch.images.device):
        logits, grams = head(backbone(batch.images), backbone.n_prefix_tokens)
    cover = -(batch.patch_shares * F.log_softmax(logits, dim=-1)).sum(-1)
    cover = (cover * batch.patch_weights).sum() / batch.patch_weights.sum()
    error = (grams - biomass_of(batch.shares)) / GRAM_SCALE
    return cover + F.smooth_l1_loss(error, torch.zeros_like(error))


def _groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    """Decay matrices alone: norms, biases, scales and tokens keep their size."""
    learned = [parameter for parameter in parameters if parameter.requires_grad]
    matrices = [parameter for parameter in learned if parameter.ndim in (2, 4)]
    others = [parameter for parameter in learned if parameter.ndim not in (2, 4)]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def learn(
    backbone: DinoVisionTransformer,
    head: QuadratHead,
    collection: Collection,
    schedule: Schedule,
    *,
    seed: int,
    name: str,
) -> dict[str, float]:
    """Train every parameter that asks for a gradient: AdamW, warm-up, cosine, clipped gradients.

    Returns:
        Steps made, mean loss of the last hundred steps.

    Raises:
        FloatingPointError: If the loss is not finite at one of the checks, every 100 steps.
    """
    device = collection.cover.device
    parameters = [*backbone.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(
        _groups(parameters, schedule.weight_decay),
        lr=schedule.learning_rate,
        betas=(0.9, 0.98),
        fused=device.type == "cuda",
    )
    learned = [parameter for parameter in parameters if parameter.requires_grad]
    generator = torch.Generator().manual_seed(seed)
    warm_up = max(1, min(300, schedule.steps // 10))
    recent, since, loss_now = torch.zeros((), device=device), 0, math.nan
    for step in range(1, schedule.steps + 1):
        # By steps alone: a rate that follows the clock would give every run other weights.
        progress = (step - 1) / schedule.steps
        rate = min(1.0, step / warm_up) * (0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate * rate
        shape = SHAPES[step % len(SHAPES)]
        size = max(2, schedule.batch_tokens * 256 // (shape[0] * shape[1]))
        loss = loss_of(backbone, head, draw_batch(collection, size, shape, generator))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        recent += loss.detach()
        since += 1
        if step % 100 == 0 or step == schedule.steps:
            loss_now = (recent / since).item()
            recent.zero_()
            since = 0
            if not math.isfinite(loss_now):
                raise FloatingPointError(f"{name}: loss {loss_now} at step {step}")
            if step % 500 == 0 or step == schedule.steps:
                print(f"{name}: step {step}, loss {loss_now:.4f}", flush=True)
    return {"steps": schedule.steps, "loss": loss_now}
