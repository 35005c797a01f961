"""Which tokens are kept whole, the same ones at every layer."""

from __future__ import annotations

import torch
from torch import Tensor

GOLDEN = 0.6180339887498949
"""Its multiples, modulo one, spread evenly over the unit interval however many there are."""


def spread_samples(count: int, images: int, patches: int) -> Tensor:
    """Choose patches that are spread over images and grid, the same for every run.

    Args:
        count: How many; all there are if these are fewer.
        images: Images in the list.
        patches: Patches of the grid.

    Returns:
        int64 ``(<= count, 2)``, different pairs of image index and patch index, by image.
    """
    number = torch.arange(min(count, images * patches))
    if len(number) == images * patches:
        return torch.stack((number // patches, number % patches), 1)
    image = number * images // max(len(number), 1)
    first = torch.searchsorted(image, image)  # the image's first sample
    start = (image * GOLDEN % 1 * patches).long()
    per_image = torch.bincount(image, minlength=1).max() if len(number) else torch.tensor(1)
    step = (number - first) * patches // per_image
    return torch.stack((image, (start + step) % patches), 1)
