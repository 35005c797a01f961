"""Decode the images of a list into batches of uint8 pixels, in worker processes.

Pillow decodes in full (no draft mode, EXIF orientation ignored, as training sees the files) and
torch resizes on uint8, bicubic with antialias: within one 8-bit level of Pillow's BICUBIC and
several times faster, which the float path is not. Pixels travel as uint8, shape
``[batch, 3, height, width]``, RGB; `normalize` makes floats of them on the device that uses them.
A file that cannot be decoded leaves an empty, invalid row, so that batches keep their image
indices.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from analysis.backbone.variants import get_variant
from analysis.errors import ImageError
from analysis.image_list import ImageList
from analysis.settings import Settings

# Formats of photographs only: Pillow also opens some that run an interpreter (EPS).
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
MAX_WORKERS = 16
_BATCHES_PER_WORKER = 3  # two waiting (prefetch) and one in the making
_SHARED_MEMORY = Path("/dev/shm")  # where torch passes tensors between processes


def load_image(path: Path, size: tuple[int, int]) -> Tensor:
    """Decode one image and resize it.

    Args:
        path: File of one of `FORMATS`.
        size: Width and height in pixels.

    Returns:
        RGB pixels, uint8 of shape ``[3, height, width]`` on the CPU.

    Raises:
        ImageError: If the file is missing, not an image, truncated, or so large that Pillow
            takes it for a decompression bomb.
    """
    try:
        return _decode(str(path), size)
    except Exception as error:
        raise ImageError(f"{path}: {_describe(error)}") from error


def normalize(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return ``(pixels / 255 - mean) / std`` per channel, float32, on the device of `pixels`.

    Args:
        pixels: uint8 of shape ``[batch, 3, height, width]``.
        mean: Per RGB channel, of values in 0..1.
        std: Per RGB channel, above 0.
    """
    center = torch.tensor(mean, dtype=torch.float32, device=pixels.device).view(3, 1, 1)
    scale = torch.tensor(std, dtype=torch.float32, device=pixels.device).view(3, 1, 1)
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
                the file), or a worker process died.
        """
        if start_batch < 0 or not 0 <= rank < world_size:
            raise ValueError(f"start_batch {start_batch}, rank {rank} of {world_size}")
        numbers = [k for k in range(start_batch, self.num_batches) if k % world_size == rank]
        return self._read(numbers)

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
            worker_init_fn=_start_worker if num_workers else None,
            multiprocessing_context=_context() if num_workers else None,
            prefetch_factor=_BATCHES_PER_WORKER - 1 if num_workers else None,
        )
        try:
            for batch in _start(loader):
                if self.strict and batch.failures:
                    index, reason = batch.failures[0]
                    raise ImageError(
                        f"{self.images.entries[index].path}: {reason}. --strict stops at the "
                        "first image that cannot be read; leave it out to skip and count them"
                    )
                yield batch
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise ImageError(
                "A process that decodes images died, often for want of memory; run again with "
                f"fewer --num-workers than {num_workers}, or 0 ({' '.join(str(error).split())})"
            ) from error

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
        """Return how many workers the shared memory can feed: a container may have 64 MB of it."""
        width, height = self.settings.image_size
        per_worker = _BATCHES_PER_WORKER * self.batch_size * 3 * width * height
        if not _SHARED_MEMORY.is_dir() or not num_workers:
            return num_workers
        fitting = shutil.disk_usage(_SHARED_MEMORY).free // 2 // per_worker
        if fitting < num_workers:
            self.warnings.append(
                f"{_SHARED_MEMORY} has room for {fitting} of {num_workers} decoding processes at "
                f"batch size {self.batch_size}: {fitting} are used. A smaller --batch-size or more "
                "shared memory (docker run --shm-size) lifts this"
            )
        return min(fitting, num_workers)


def choose_num_workers() -> int:
    """Return how many decoding processes this machine's cores allow, shared between local ranks.

    One core is left to the process that feeds the network.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(MAX_WORKERS, (cores or 1) // ranks - 1))


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
                pixels[row] = _decode(path, self.size)
            except Exception as error:  # decoders raise anything on a broken file
                valid[row] = False
                failures.append((start + row, _describe(error)))
        return ImageBatch(pixels, torch.arange(start, start + len(paths)), valid, failures)


def _decode(path: str, size: tuple[int, int]) -> Tensor:
    width, height = size
    # Pillow's remarks about odd metadata and large pictures are not failures.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=FORMATS) as image:
            rgb = image if image.mode == "RGB" else image.convert("RGB")
            pixels = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None]
    if pixels.shape[-2:] != (height, width):
        # The permuted view is channels-last, the layout in which uint8 resizing is fast.
        pixels = F.interpolate(pixels, size=(height, width), mode="bicubic", antialias=True)
    return pixels[0]


def _describe(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    if isinstance(error, Image.DecompressionBombError):
        return "more pixels than Pillow opens (taken for a decompression bomb)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(f"{type(error).__name__}: {error}".split())


def _context() -> BaseContext | None:
    """Return how workers start: by fork on Linux.

    A spawned worker imports torch anew, about two seconds each, which a job of a few hundred
    images never earns back. Fork is safe here although the parent may have threads and a CUDA
    context: a worker decodes with one thread (no OpenMP team to wait for) and never touches CUDA.
    """
    return multiprocessing.get_context("fork") if sys.platform == "linux" else None


def _start(loader: DataLoader[ImageBatch]) -> Iterator[ImageBatch]:
    """Start the workers without torch's SIGCHLD handler.

    That handler raises a dead worker's error in whatever the main thread is doing at the moment;
    without it the iterator raises it, a few seconds later, where it can be explained.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)
    return batches


def _start_worker(_: int) -> None:
    torch.set_num_threads(1)
    # Signals sent to the job's process group are for the main process: it ends its workers
    # itself, and one that dies first would turn a cancellation into an error.
    os.setpgid(0, 0)
    if sys.platform == "linux":
        # torch looks for a dead parent every few seconds; until then a forked worker would hold
        # the parent's GPU memory.
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
