"""Run interventions over images; the blocks before each start layer run once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.interventions.edit import Intervention, Means, run_from
from analysis.collect.interventions.effects import compare_final, compare_outputs, final_vectors
from analysis.collect.run.devices import enter_precision
from analysis.errors import ConfigError
from analysis.payload.intervention_file import FINAL_MEASURES, MEASURES, Floats

MAX_FINAL_BYTES = 2**26
"""Of the final vectors of all arms; a larger set is not kept."""


@dataclass(frozen=True)
class Measured:
    """Effects of every intervention on every image, by the names in `intervention_file`."""

    arrays: dict[str, Floats]
    final: Floats | None
    """``[1 + A, N, 2, C]``; None where it is too large to keep."""


@torch.inference_mode()
def measure_interventions(
    backbone: DinoVisionTransformer,
    batches: Iterable[Tensor],
    interventions: Sequence[Intervention],
    means: Means,
    *,
    num_images: int,
    precision: str = "fp32",
    check: Callable[[int], None] = lambda done: None,
) -> Measured:
    """Measure each intervention against the same images without it.

    Args:
        backbone: In evaluation mode.
        batches: Normalised images, float32 ``[B, 3, H, W]``, on the backbone's device.
        interventions: What to run.
        means: Of the data set, by kind of token.
        num_images: Images in all batches.
        precision: As `enter_precision` takes it.
        check: Called after every intervention on a batch with the number of images done; may
            raise to stop.

    Raises:
        ConfigError: If an intervention names a layer or channel that the backbone lacks.
    """
    depth, n_prefix = backbone.depth, backbone.n_prefix_tokens
    for intervention in interventions:
        _check(intervention, backbone)
    shape = (len(interventions), num_images, depth, 2)
    layers = {name: np.full(shape, np.nan, dtype=np.float32) for name in MEASURES}
    final = {name: np.zeros((*shape[:2], 2), dtype=np.float32) for name in FINAL_MEASURES}
    vectors = (1 + len(interventions), num_images, 2, backbone.embed_dim)
    kept = None
    if 4 * int(np.prod(vectors)) <= MAX_FINAL_BYTES:
        kept = np.zeros(vectors, dtype=np.float32)
    first = 0
    for pixels in batches:
        images = slice(first, first + len(pixels))
        with enter_precision(precision, pixels.device):
            tokens, *rotation = backbone.embed(pixels)
            outputs: list[Tensor] = []
            for block in backbone.blocks:
                tokens = block(tokens, *rotation)
                outputs.append(tokens)
            plain = final_vectors(backbone, outputs[-1])
            if kept is not None:
                kept[0, images] = plain.cpu().numpy()
            for arm, intervention in enumerate(interventions):
                changed = outputs[-1]
                start = intervention.layer
                ends = run_from(backbone, outputs, (rotation[0], rotation[1]), intervention, means)
                found = []
                for layer, changed in enumerate(ends, start):
                    found.append(
                        compare_outputs(changed, outputs[layer], intervention.channels, n_prefix)
                    )
                stacked = torch.stack(found, dim=2).cpu().numpy()
                for name, values in zip(MEASURES, stacked, strict=True):
                    layers[name][arm, images, start:] = values
                vector = final_vectors(backbone, changed)
                for name, values in zip(FINAL_MEASURES, compare_final(vector, plain), strict=True):
                    final[name][arm, images] = values.cpu().numpy()
                if kept is not None:
                    kept[1 + arm, images] = vector.cpu().numpy()
                check(first + len(pixels) * (arm + 1) // len(interventions))
        first += len(pixels)
    return Measured({**layers, **final}, kept)


def _check(intervention: Intervention, backbone: DinoVisionTransformer) -> None:
    if not 0 <= intervention.layer < backbone.depth:
        raise ConfigError(
            f"Layer {intervention.layer}: this backbone has layers 0 to {backbone.depth - 1}."
        )
    wrong = [c for c in intervention.channels if not 0 <= c < backbone.embed_dim]
    if wrong:
        raise ConfigError(
            f"Channel {wrong[0]}: this backbone has channels 0 to {backbone.embed_dim - 1}."
        )
