"""The protocol between the forward loop and the statistics.

::

    collector.begin_batch(indices, valid)
    for layer, tokens in enumerate(backbone.forward_blocks(pixels), start=-1):
        collector.observe(layer, tokens)
    collector.commit_batch()

A batch changes the running statistics only when it is committed, so that whatever happens in
between (out of memory, cancel, a live preview) sees whole batches. None of the three calls waits
for the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

from analysis.errors import StatisticsError
from analysis.statistics.batch import Batch
from analysis.statistics.state import CollectorState
from analysis.statistics.summary import CollectedStatistics, NormParameters, summarize

ENGINES = {"torch": "analysis.statistics.reduction", "triton": "analysis.statistics.launch"}
"""Modules whose ``reduce_tokens`` measures a block output; imported when chosen."""


class StatisticsCollector:
    """Channel statistics of every block output, over any number of batches.

    Args:
        depth: Number of blocks.
        channels: Embedding dimension, at least 3.
        n_storage: Storage tokens between CLS and the patches; they belong to neither role.
        device: Where the block outputs are, and where everything is accumulated.
        extras: Also measure what the payload's ``extras`` hold, and the tokens that enter
            block 0 (layer -1).
        engine: ``"torch"``, ``"triton"``, or ``"auto"``: Triton on a GPU where it is installed.
            The results agree; the attribute of that name says which was chosen.
    """

    def __init__(
        self,
        depth: int,
        channels: int,
        n_storage: int,
        device: torch.device | str,
        *,
        extras: bool = False,
        engine: Literal["auto", "torch", "triton"] = "auto",
    ) -> None:
        self.depth, self.channels, self.n_storage = depth, channels, n_storage
        self.extras = extras
        self._state = CollectorState(depth, channels, n_storage, device, extras=extras)
        self._batch = Batch(CollectorState(depth, channels, n_storage, device, extras=extras))
        self._open = False
        if engine == "auto":
            on_gpu = torch.device(device).type == "cuda"
            engine = "triton" if on_gpu and find_spec("triton") else "torch"
        self.engine = engine
        self._reduce = import_module(ENGINES[engine]).reduce_tokens

    @torch.no_grad()
    def begin_batch(self, indices: Tensor, valid: Tensor) -> None:
        """Name the images of the next batch.

        Args:
            indices: int64 ``(images,)``, global image index; decides the image group.
            valid: bool ``(images,)``; rows where it is False are padding and never counted.

        Raises:
            RuntimeError: If the batch before was neither committed nor discarded.
        """
        if self._open:
            raise RuntimeError("the batch before was neither committed nor discarded")
        self._batch.begin(indices, valid)
        self._open = True

    @torch.no_grad()
    def observe(self, layer: int, tokens: Tensor) -> None:
        """Measure one block output of the current batch.

        Args:
            layer: Block index, or -1 for the tokens that enter block 0 (used with extras only).
            tokens: ``(images, 1 + n_storage + patches, channels)``, any float dtype, on the
                collector's device. Not kept.

        Raises:
            RuntimeError: If no batch was begun, or the layer was observed in it already.
            ValueError: If the layer or the shape is not what was announced.
        """
        if not self._open:
            raise RuntimeError("observe was called outside of a batch")
        if not -1 <= layer < self.depth:
            raise ValueError(f"layer {layer} is not one of -1..{self.depth - 1}")
        images = len(self._batch.indices)
        fits = tokens.ndim == 3 and tokens.shape[::2] == (images, self.channels)
        if not fits or tokens.shape[1] < 2 + self.n_storage:
            raise ValueError(
                f"layer {layer}: expected tokens ({images}, at least {2 + self.n_storage}, "
                f"{self.channels}), got {tuple(tokens.shape)}"
            )
        if layer >= 0 or self.extras:
            self._reduce(tokens.detach(), layer, self._batch)

    @torch.no_grad()
    def commit_batch(self) -> None:
        """Fold the current batch into the running statistics.

        Raises:
            RuntimeError: If no batch was begun, or a block output is missing.
        """
        if missing := sorted(set(range(self.depth)) - self._batch.observed):
            raise RuntimeError(f"layers {missing} were not observed in this batch")
        if not self._open:
            raise RuntimeError("commit_batch was called outside of a batch")
        self._batch.settle()
        self._state.merge(self._batch.state)
        self._open = False

    def discard_batch(self) -> None:
        """Forget the current batch, if there is one."""
        self._open = False

    def merge(self, other: StatisticsCollector) -> None:
        """Fold what another collector (of another rank) has committed; it stays as it is.

        Raises:
            StatisticsError: If it was made for another backbone or other flags.
        """
        if self._identity() != other._identity():
            raise StatisticsError(
                f"cannot merge statistics of {other._identity()} into {self._identity()}"
            )
        self._state.merge(other._state)

    def _identity(self) -> dict[str, int]:
        return {
            "depth": self.depth,
            "channels": self.channels,
            "n_storage": self.n_storage,
            "extras": int(self.extras),
        }

    def state_dict(self) -> dict[str, Tensor]:
        """Return all committed statistics: plain tensors that `load_state_dict` takes back.

        The tensors are the live accumulators; copy them if they must survive the next commit.
        """
        return self._state.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replace all committed statistics; a batch under way is discarded.

        Raises:
            StatisticsError: If they belong to another backbone or other flags.
        """
        self._state.load_state_dict(state)
        self.discard_batch()

    def finalize(self, norm: NormParameters) -> CollectedStatistics:
        """Return the payload's statistics; more batches may follow.

        Args:
            norm: Parameters of the model's output LayerNorm, for `global_ln`.

        Raises:
            StatisticsError: If a layer has no finite token of a role; it names the first.
        """
        return summarize(self._state, norm)
