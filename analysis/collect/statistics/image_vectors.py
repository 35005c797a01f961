"""The vectors of some images, in host memory: CLS token and mean patch token of every layer.

They are kept as float32, since the mean and std that they are later divided by are known only at
the end of the run. From a GPU they are copied into page-locked memory without waiting.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from analysis.collect.statistics.state import CollectorState
from analysis.errors import ConfigError
from analysis.payload.features import MAX_BYTES

AUTO_BYTES = 128 * 2**20
"""Size of the written file up to which `auto` keeps images."""
KINDS = 3
"""Vectors per image and layer, in the order of `analysis.payload.features.STORED`."""
STATE = ("vector_places", "vectors")
"""Names of what `state_dict` returns."""


def choose_images(wanted: str, images: int, layers: int, channels: int) -> Tensor:
    """Return the positions of the images whose vectors are kept, evenly spaced over the list.

    Args:
        wanted: ``all``, ``auto`` (as many as fit `AUTO_BYTES`) or a number.
        images: Length of the image list.
        layers: Blocks of the backbone.
        channels: Embedding dimension.

    Returns:
        int64 ``(n,)``, ascending; the same for every run over a list of this length.
    """
    fitting = AUTO_BYTES // (layers * KINDS * channels * 2)
    count = min(images, {"all": images, "auto": fitting}.get(wanted) or int(wanted or 0))
    return torch.arange(count) * images // max(count, 1)


def check_room(keep: Tensor, layers: int, channels: int, *, free: int, share: int = 1) -> None:
    """Refuse to keep more vectors than memory or a readable file holds, before the run begins.

    Args:
        keep: As `choose_images` returns it.
        layers: Blocks of the backbone.
        channels: Embedding dimension.
        free: Bytes of main memory that can still be taken.
        share: Processes that share the images and the memory.

    Raises:
        ConfigError: If they do not fit; says how many do.
    """
    numbers = layers * KINDS * channels
    # float32 while they are collected, once more when they are put in order, then as float16
    held = numbers * (4 + 4 + 2 + 2)
    # the first process gathers what all have kept
    most = min(free // (held if share == 1 else 2 * held), MAX_BYTES // (numbers * 2))
    if len(keep) > most:
        need = len(keep) * held / 2**30
        raise ConfigError(
            f"--image-features: the vectors of {len(keep):,} images take {need:,.1f} GiB of main "
            f"memory and {len(keep) * numbers * 2 / 2**30:,.1f} GiB on disk; {free / 2**30:,.1f} "
            f"GiB of memory are free, and files up to {MAX_BYTES / 2**30:,.0f} GiB are read. Give "
            f"a number up to {most}, or auto."
        )


class VectorStore:
    """Vectors of the kept images.

    Args:
        keep: int64 ``(n,)`` on the CPU, ascending positions in the image list.
        layers: Blocks of the backbone.
        channels: Embedding dimension.

    Attributes:
        keep: As given.
    """

    def __init__(self, keep: Tensor, layers: int, channels: int) -> None:
        self.keep = keep
        self._shape = (layers, KINDS, channels)
        self._parts: list[tuple[Tensor, Tensor]] = []

    def add(self, indices: Tensor, valid: Tensor, batch: CollectorState) -> None:
        """Keep the vectors of a complete batch.

        Args:
            indices: int64 ``(images,)`` on the CPU.
            valid: bool ``(images,)`` on the CPU.
            batch: The batch's statistics, one group per image.
        """
        rows = (torch.isin(indices, self.keep) & valid).nonzero().flatten()
        if not len(rows):
            return
        images, first = batch.groups, batch.first_block
        cells = torch.stack((rows, images + rows, images + rows))
        kinds = torch.tensor([[0], [0], [1]])  # pre, pre, per_layer_ln
        device = batch.mean.device
        if device.type == "cuda":
            cells, kinds = (t.pin_memory().to(device, non_blocking=True) for t in (cells, kinds))
        vectors = batch.mean[first:, kinds, cells]  # (layers, 3, rows, channels)
        seen = batch.count[first:].unsqueeze(1).expand(-1, 3, -1)
        seen = seen.gather(2, cells.expand(len(seen), -1, -1)) > 0
        vectors = vectors.where(seen.unsqueeze(-1), torch.nan).float().permute(2, 0, 1, 3)
        host = torch.empty(vectors.shape, pin_memory=device.type == "cuda")
        host.copy_(vectors, non_blocking=True)
        self._parts.append((torch.searchsorted(self.keep, indices[rows]), host))

    def state_dict(self) -> dict[str, Tensor]:
        """Return what has been kept; the device must have finished the copies."""
        if len(self._parts) != 1:
            order = torch.cat([torch.empty(0, dtype=torch.int64), *(p for p, _ in self._parts)])
            vectors = torch.cat([torch.empty(0, *self._shape), *(v for _, v in self._parts)])
            self._parts = [(order, vectors)]
        order, vectors = self._parts[0]
        if (order.diff() < 0).any():
            order, rank = order.sort()
            self._parts = [(order, vectors[rank])]
        return dict(zip(STATE, self._parts[0], strict=True))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replace what has been kept.

        Raises:
            ValueError: If it is of another shape or of images that are not kept here.
        """
        places, vectors = (state[name].cpu() for name in STATE)
        fits = vectors.shape == (len(places), *self._shape) and vectors.dtype == torch.float32
        if not fits or not torch.isin(places, torch.arange(len(self.keep))).all():
            raise ValueError("vectors of images that this run does not keep")
        self._parts = [(places, vectors)]

    def merge(self, other: VectorStore) -> None:
        """Add the images of another rank, which are others than those kept here."""
        self._parts += other._parts
