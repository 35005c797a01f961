"""Put one batch through the network and into the collector, whole or not at all.

Out of memory halves the batch and repeats the part that failed; what was folded before stays, and
nothing is counted twice. On a GPU the blocks are compiled once that pays for itself, where no fused
kernels do better.
"""

from __future__ import annotations

import logging
import time

import torch
from torch import Tensor
from torch.nn import functional as F

from analysis.collect.images.batches import ImageBatch
from analysis.collect.run.network import Network
from analysis.collect.statistics.collector import StatisticsCollector
from analysis.errors import DeviceError

COMPILE_SECONDS = 6.0
"""What compiling one block costs, for the decision of ``auto`` (benchmarks/README.md)."""
COMPILE_SPEEDUP = 1.4
"""What it gains at least, in the same place."""
WARM_BATCHES = 3
"""Batches timed before ``auto`` decides; the first of them pays for start-up."""

log = logging.getLogger("analysis")


class BatchFolder:
    """Fold batches into a collector.

    Args:
        network: The network to run.
        collector: Takes the block outputs.
        compile_blocks: ``on``, ``off``, or ``auto`` (None too): on a GPU where the network runs no
            fused kernels, when the images left repay it.

    Attributes:
        notices: Sentences on what was done differently than asked.
    """

    def __init__(
        self, network: Network, collector: StatisticsCollector, compile_blocks: str | None
    ) -> None:
        self.notices: list[str] = []
        self._network = network
        self._collector = collector
        self._size: int | None = None
        automatic = compile_blocks in (None, "auto") and network.device.type == "cuda"
        self._undecided = automatic and not network.fused
        self._batches = 0
        self._clock = 0.0
        if compile_blocks == "on":
            network.compiled = True

    def fold(self, batch: ImageBatch, *, images_left: int) -> None:
        """Measure every valid image of the batch.

        Args:
            batch: Decoded images.
            images_left: Including this batch; decides whether compiling pays.

        Raises:
            DeviceError: If even a single image does not fit into memory.
        """
        if self._undecided:
            self._decide(images_left, len(batch.indices))
        size = self._size = self._size or len(batch.indices)
        start = 0
        while start < len(batch.indices):
            rows = slice(start, start + size)
            try:
                self._fold_rows(batch.pixels[rows], batch.indices[rows], batch.valid[rows], size)
            except RuntimeError as error:
                self._collector.discard_batch()
                if not is_out_of_memory(error):
                    raise
                size = self._halve(size)
                continue
            start += size

    def _fold_rows(self, pixels: Tensor, indices: Tensor, valid: Tensor, size: int) -> None:
        missing = size - len(indices)
        if missing and (self._network.compiled or self._network.fused):
            # masked rows keep the shape, which spares compiling the blocks or the kernels again
            pixels = F.pad(pixels, (0, 0, 0, 0, 0, 0, 0, missing))
            indices, valid = F.pad(indices, (0, missing)), F.pad(valid, (0, missing))
        if not bool(valid.any()):
            return
        self._collector.begin_batch(indices, valid)
        outputs = self._network.measured_outputs(pixels)
        for layer, (tokens, rows) in enumerate(outputs, start=-1):
            # the generator is suspended inside autocast, which must not reach the statistics
            with torch.autocast(self._network.device.type, enabled=False):
                self._collector.observe(layer, tokens, rows)
        self._collector.commit_batch()

    def _halve(self, size: int) -> int:
        if size == 1:
            raise too_little_memory(self._network.device)
        if self._network.device.type == "cuda":
            torch.cuda.empty_cache()
        self._size = size // 2
        notice = f"Out of memory with {size} images at a time; went on with {size // 2}."
        self.notices.append(notice)
        log.warning("%s", notice)
        return size // 2

    def _decide(self, images_left: int, batch_size: int) -> None:
        """Compile as soon as the time it saves exceeds the time it costs."""
        self._batches += 1
        if self._batches == 2:
            torch.cuda.synchronize(self._network.device)
            self._clock = time.perf_counter()
        if self._batches < 1 + WARM_BATCHES:
            return
        torch.cuda.synchronize(self._network.device)
        per_image = (time.perf_counter() - self._clock) / ((WARM_BATCHES - 1) * batch_size)
        saved = images_left * per_image * (1 - 1 / COMPILE_SPEEDUP)
        self._undecided = False
        if saved > COMPILE_SECONDS:
            log.info("compiling the blocks: saves about %.0f s", saved - COMPILE_SECONDS)
            self._network.compiled = True


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether the error says that memory ran out, on a GPU or on the host."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def too_little_memory(device: torch.device) -> DeviceError:
    """Return the error for a device that cannot hold a single image."""
    return DeviceError(
        f"{device}: out of memory with a single image. Use a smaller data.image_size, "
        "--precision bf16, --no-extras or a larger device."
    )
