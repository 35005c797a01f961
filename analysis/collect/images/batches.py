"""The images of a list in batches of uint8 pixels, decoded by worker processes.

Pixels travel as uint8, shape ``[batch, 3, height, width]``, RGB; `normalize_pixels` makes floats of
them on the device that uses them. A file that cannot be decoded leaves an empty, invalid row, so
that batches keep their image indices.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from analysis.collect.backbone.variants import get_variant
from analysis.collect.images.decode import Pixels
from analysis.collect.images.pool import (
    CAN_FORK,
    DecodePool,
    Outcome,
    WorkerDiedError,
    choose_num_workers,
    decode_into,
)
from analysis.collect.plan.image_list import ImageList
from analysis.collect.plan.settings import Settings
from analysis.errors import ImageError


def normalize_pixels(
    pixels: Tensor, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor
) -> Tensor:
    """Return ``(pixels / 255 - mean) / std`` per channel, float32, on the device of `pixels`.

    Args:
        pixels: uint8 of shape ``[batch, 3, height, width]``.
        mean: Per RGB channel, of values in 0..1. A tensor on the device of `pixels` spares a wait.
        std: Per RGB channel, above 0; likewise.
    """
    center = torch.as_tensor(mean, dtype=torch.float32, device=pixels.device).view(3, 1, 1)
    scale = torch.as_tensor(std, dtype=torch.float32, device=pixels.device).view(3, 1, 1)
    return pixels.to(torch.float32).div_(255).sub_(center).div_(scale)


@dataclass
class ImageBatch:
    """Neighbours of the image list, decoded."""

    pixels: Tensor
    """uint8 ``[batch, 3, height, width]`` on the CPU; zero where not valid."""
    indices: Tensor
    """int64 ``[batch]``: image index of each row."""
    valid: Tensor
    """bool ``[batch]``: whether the row holds an image."""
    failures: list[tuple[int, str]]
    """Image index and reason of every row that is not valid."""
    cut: int = 0
    """Images whose values above 255 were cut off, in training as here."""


class PastureDataModule:
    """The training images that a config names, in batches, without augmentation.

    Batch k holds the images ``k * batch_size`` to ``(k + 1) * batch_size - 1`` of the list,
    whoever reads it, so that a run resumes or spreads over ranks on the same batches; the last
    one may be shorter.

    Attributes:
        num_batches: Batches of the whole list.
        num_workers: Processes that decode; 0 decodes in this one.
        network_size: Width and height in pixels that the backbone sees: its patch embedding
            drops what is left over on the right and at the bottom.
        warnings: Sentences about choices that the user may not expect.
    """

    def __init__(
        self,
        settings: Settings,
        images: ImageList,
        *,
        batch_size: int,
        num_workers: int | None = None,
        strict: bool = False,
        pin_memory: bool = False,
        pool: DecodePool | None = None,
    ) -> None:
        if batch_size < 1 or (num_workers is not None and num_workers < 0):
            raise ValueError(f"batch_size {batch_size}, num_workers {num_workers}")
        self.settings = settings
        self.images = images
        self.batch_size = batch_size
        self.strict = strict
        self.pin_memory = pin_memory
        self.warnings: list[str] = []
        self.num_batches = -(-len(images.entries) // batch_size)
        self.network_size = self._find_network_size()
        wanted = choose_num_workers() if num_workers is None else num_workers
        self.num_workers = wanted if CAN_FORK else 0
        self._paths = [str(entry.path) for entry in images.entries]
        self._pool = pool

    def train_batches(
        self, start_batch: int = 0, rank: int = 0, world_size: int = 1
    ) -> Iterator[ImageBatch]:
        """Yield the batches of one rank in order.

        Args:
            start_batch: Batches before this one are left out, as when a run resumes.
            rank: Batches k with ``k % world_size == rank`` are read.
            world_size: Number of ranks.

        Raises:
            ImageError: If an image cannot be read and the module is strict (the message names
                the file), a folder that gave images is empty or gone, or a worker process died.
        """
        if start_batch < 0 or not 0 <= rank < world_size:
            raise ValueError(f"start_batch {start_batch}, rank {rank} of {world_size}")
        numbers = [k for k in range(start_batch, self.num_batches) if k % world_size == rank]
        return self._read(numbers)

    def count_images(self, rank: int = 0, world_size: int = 1) -> int:
        """Return how many images the batches of one rank hold."""
        images = len(self.images.entries)
        return sum(
            min(self.batch_size, images - number * self.batch_size)
            for number in range(rank, self.num_batches, world_size)
        )

    def first_images(self, count: int) -> Tensor | None:
        """Return the first `count` readable images, uint8 ``[<= count, 3, height, width]``.

        None if not one can be read.
        """
        pixels: list[Tensor] = []
        for index, path in enumerate(self._paths):
            if len(pixels) == count:
                break
            image, (reason, _) = self._first(index)
            if reason is None:
                pixels.append(torch.from_numpy(image))
            elif self.strict:
                raise ImageError(f"{path}: {reason}")
        return torch.stack(pixels) if pixels else None

    def _first(self, index: int) -> tuple[Pixels, Outcome]:
        """Decode one of the first images, or look at it where the pool has it already."""
        if self._pool is not None and index < self._pool.slots:
            with contextlib.suppress(WorkerDiedError):  # which reading the batches explains
                return self._pool.look(index)
        width, height = self.settings.image_size
        image = np.empty((3, height, width), np.uint8)
        return image, decode_into(image, self._paths[index], self.settings.image_size)

    def _read(self, numbers: list[int]) -> Iterator[ImageBatch]:
        batches = [self._images_of(number) for number in numbers]
        everything = [index for batch in batches for index in batch]
        pool, self._pool = self._pool, None
        if pool is not None and pool.paths != tuple(self._paths[index] for index in everything):
            pool.close()  # it decodes other images than this rank's, or those of a resumed run
            pool = None
        if pool is None and self.num_workers and len(batches) > 1:
            paths = [self._paths[index] for index in everything]
            pool = DecodePool(paths, self.settings.image_size, self.num_workers)
            pool.begin()
        folders: set[Path] = set()
        try:
            for indices in batches:
                batch = self._decode(indices, pool)
                self._require_folders(batch, folders)
                if self.strict and batch.failures:
                    index, reason = batch.failures[0]
                    raise ImageError(
                        f"{self.images.entries[index].path}: {reason}. --strict stops at the "
                        "first image that cannot be read; leave it out to skip and count them"
                    )
                yield batch
        except WorkerDiedError as error:
            raise ImageError(
                "A process that decodes images died, often for want of memory; run again with "
                f"fewer --num-workers than {self.num_workers}, or 0 ({error})"
            ) from error
        finally:
            if pool is not None:
                pool.close()

    def _images_of(self, number: int) -> range:
        start = number * self.batch_size
        return range(start, min(start + self.batch_size, len(self._paths)))

    def _decode(self, indices: range, pool: DecodePool | None) -> ImageBatch:
        width, height = self.settings.image_size
        pin = self.pin_memory and torch.cuda.is_available()
        shape = (len(indices), 3, height, width)
        pixels = torch.empty(shape, dtype=torch.uint8, pin_memory=pin)
        failures: list[tuple[int, str]] = []
        cut = 0
        for row, index in zip(pixels.numpy(), indices, strict=True):
            if pool is None:
                outcome = decode_into(row, self._paths[index], self.settings.image_size)
            else:
                row[:], outcome = pool.look(pool.taken)
                pool.give_back()
            cut += outcome.cut
            if outcome.reason is not None:
                failures.append((index, outcome.reason))
        valid = torch.ones(len(indices), dtype=torch.bool)
        valid[[index - indices.start for index, _ in failures]] = False
        return ImageBatch(pixels, torch.arange(indices.start, indices.stop), valid, failures, cut)

    def _require_folders(self, batch: ImageBatch, folders: set[Path]) -> None:
        """Refuse to skip what an unmounted folder no longer shows; `folders` gave images so far."""
        failed = {index for index, _ in batch.failures}
        for index in sorted(failed):
            folder = self.images.entries[index].path.parent
            if folder in folders and _is_empty(folder):
                raise ImageError(
                    f"{folder}: empty or gone, though images were read from it before. Bring it "
                    "back (is it mounted?), then go on with --resume."
                )
        read = (index for index in batch.indices.tolist() if index not in failed)
        folders.update(self.images.entries[index].path.parent for index in read)

    def _find_network_size(self) -> tuple[int, int]:
        width, height = self.settings.image_size
        patch = get_variant(self.settings.backbone_name).patch_size
        seen = width // patch * patch, height // patch * patch
        if seen != (width, height):
            self.warnings.append(
                f"data.image_size {width}x{height} is not a multiple of {patch}: the network sees "
                f"the upper left {seen[0]}x{seen[1]} pixels, in training as here"
            )
        return seen


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True
