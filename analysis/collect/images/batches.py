"""The images of a list in batches of uint8 pixels, decoded by worker processes.

Pixels travel as uint8, shape ``[batch, 3, height, width]``, RGB; `normalize` makes floats of them
on the device that uses them. A file that cannot be decoded leaves an empty, invalid row, so that
batches keep their image indices.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from analysis.collect.backbone.variants import get_variant
from analysis.collect.images.decode import decode_image, describe_failure, load_image
from analysis.collect.images.workers import (
    PREFETCH,
    choose_num_workers,
    fit_shared_memory,
    prepare_worker,
    start_workers,
    worker_context,
)
from analysis.collect.plan.image_list import ImageList
from analysis.collect.plan.settings import Settings
from analysis.errors import ImageError


def normalize(
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

    def pin_memory(self) -> ImageBatch:
        """Return the batch in page-locked memory, for copies that do not block."""
        return ImageBatch(
            self.pixels.pin_memory(),
            self.indices.pin_memory(),
            self.valid.pin_memory(),
            self.failures,
        )


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
        self.num_workers = self._fit_shared_memory(wanted)

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
        for entry in self.images.entries:
            if len(pixels) == count:
                break
            try:
                pixels.append(load_image(entry.path, self.settings.image_size))
            except ImageError:
                if self.strict:
                    raise
        return torch.stack(pixels) if pixels else None

    def _read(self, numbers: list[int]) -> Iterator[ImageBatch]:
        num_workers = min(self.num_workers, len(numbers)) if len(numbers) > 1 else 0
        loader = DataLoader(
            _Batches(self.images, self.settings.image_size, self.batch_size),
            batch_size=None,
            sampler=numbers,
            num_workers=num_workers,
            pin_memory=self.pin_memory and torch.cuda.is_available(),
            worker_init_fn=prepare_worker if num_workers else None,
            multiprocessing_context=worker_context() if num_workers else None,
            prefetch_factor=PREFETCH if num_workers else None,
        )
        folders: set[Path] = set()
        try:
            for batch in start_workers(loader):
                self._require_folders(batch, folders)
                if self.strict and batch.failures:
                    index, reason = batch.failures[0]
                    raise ImageError(
                        f"{self.images.entries[index].path}: {reason}. --strict stops at the "
                        "first image that cannot be read; leave it out to skip and count them"
                    )
                yield batch
        except (RuntimeError, EOFError, OSError) as error:
            # Which one depends on whether a batch of the dead process was on its way.
            if isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error):
                raise
            raise ImageError(
                "A process that decodes images died, often for want of memory; run again with "
                f"fewer --num-workers than {num_workers}, or 0 ({describe_failure(error)})"
            ) from error

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

    def _fit_shared_memory(self, num_workers: int) -> int:
        width, height = self.settings.image_size
        fitting = fit_shared_memory(num_workers, self.batch_size * 3 * width * height)
        if fitting < num_workers:
            self.warnings.append(
                f"Shared memory has room for {fitting} of {num_workers} decoding processes at "
                f"batch size {self.batch_size}: {fitting} are used. A smaller --batch-size or more "
                "shared memory (docker run --shm-size) lifts this"
            )
        return fitting


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as found:
            return next(found, None) is None
    except OSError:
        return True


class _Batches(Dataset[ImageBatch]):
    """Item k is batch k, decoded."""

    def __init__(self, images: ImageList, size: tuple[int, int], batch_size: int) -> None:
        self.paths = [str(entry.path) for entry in images.entries]
        self.size = size
        self.batch_size = batch_size

    def __getitem__(self, number: int) -> ImageBatch:
        start = number * self.batch_size
        paths = self.paths[start : start + self.batch_size]
        width, height = self.size
        pixels = torch.zeros(len(paths), 3, height, width, dtype=torch.uint8)
        valid = torch.ones(len(paths), dtype=torch.bool)
        failures: list[tuple[int, str]] = []
        for row, path in enumerate(paths):
            try:
                pixels[row] = decode_image(path, self.size)
            except MemoryError as error:  # says nothing about the file: not to be skipped
                raise MemoryError(f"while reading {path}") from error
            except Exception as error:  # decoders raise anything on a broken file
                valid[row] = False
                failures.append((start + row, describe_failure(error)))
        return ImageBatch(pixels, torch.arange(start, start + len(paths)), valid, failures)
