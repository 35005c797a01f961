"""What the trained backbone and its adapters are worth, on pictures they have not seen."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel
from torch import Tensor

from analysis.collect.backbone.vit import DinoVisionTransformer
from demo.biomass import TARGETS
from demo.collection import Collection, biomass_of, label, normalise
from demo.learning import QuadratHead, autocast
from demo.quadrats import COVERS


def r_squared(truth: NDArray[np.float64], guess: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the coefficient of determination per column of ``[n, columns]``."""
    rest = ((truth - guess) ** 2).sum(0)
    return 1 - rest / ((truth - truth.mean(0)) ** 2).sum(0)


@torch.no_grad()
def measure_fit(
    backbone: DinoVisionTransformer, head: QuadratHead, collection: Collection
) -> dict[str, float]:
    """R² of every target on whole pictures, and of every cover share per patch."""
    grams, expected, patches, patches_expected = [], [], [], []
    for start in range(0, len(collection), 32):
        some = slice(start, start + 32)
        batch = label(normalise(collection.pixels[some]), collection.cover[some])
        with autocast(collection.cover.device):
            logits, guess = head(backbone(batch.images), backbone.n_prefix_tokens)
        open_patches = batch.patch_weights > 0.5
        grams.append(guess)
        expected.append(biomass_of(batch.shares))
        patches.append(logits.softmax(-1)[open_patches])
        patches_expected.append(batch.patch_shares[open_patches])

    def column(parts: list[Tensor]) -> NDArray[np.float64]:
        return torch.cat(parts).double().cpu().numpy()

    targets = r_squared(column(expected), column(grams))
    cover = r_squared(column(patches_expected), column(patches))
    named = dict(zip(TARGETS, targets.tolist(), strict=True))
    return named | {
        f"patch_{name}": value for name, value in zip(COVERS, cover.tolist(), strict=True)
    }


@torch.no_grad()
def _outputs(backbone: DinoVisionTransformer, collection: Collection) -> list[Tensor]:
    """Every block's output on the first 16 pictures, float32."""
    return list(backbone.forward_blocks(normalise(collection.pixels[:16])))[1:]


def measure_massive_channels(
    backbone: DinoVisionTransformer, collection: Collection
) -> list[dict[str, float | list[int]]]:
    """Per block: the three largest patch channels by mean magnitude, and largest over median."""
    rows: list[dict[str, float | list[int]]] = []
    for tokens in _outputs(backbone, collection):
        size = tokens[:, backbone.n_prefix_tokens :].abs().mean((0, 1))
        top = size.topk(3)
        ratio = (top.values[0] / size.median()).item()
        rows.append(
            {"channels": top.indices.tolist(), "median": size.median().item(), "ratio": ratio}
        )
    return rows


def measure_adapter(
    adapted: PeftModel, backbone: DinoVisionTransformer, collection: Collection
) -> list[float]:
    """Relative change of every block's output, adapter on against off."""
    on = _outputs(backbone, collection)
    with adapted.disable_adapter():
        off = _outputs(backbone, collection)
    return [((a - b).norm() / b.norm()).item() for a, b in zip(on, off, strict=True)]
