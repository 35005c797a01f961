"""The protocol between the forward loop and the statistics.

::

    collector.begin_batch(indices, valid)
    for layer, tokens in enumerate(backbone.forward_blocks(pixels), start=-1):
        collector.observe(layer, tokens)
    collector.commit_batch()

A batch changes the running statistics only when it is committed, so that whatever happens in
between (out of memory, cancel, a live preview) sees whole batches. None of the three calls waits
for the device. On a GPU the statistics run on a stream of their own, beside the next block: run the
network on a stream of higher priority, and they fill the gaps that it leaves.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Literal, Protocol

import torch
from torch import Tensor

from analysis.collect.statistics.batch import Batch
from analysis.collect.statistics.image_vectors import STATE as VECTORS
from analysis.collect.statistics.image_vectors import VectorStore
from analysis.collect.statistics.moments import RowMoments
from analysis.collect.statistics.state import CollectorState
from analysis.collect.statistics.summary import CollectedStatistics, NormParameters, summarize
from analysis.collect.statistics.torch_engine import TorchEngine
from analysis.errors import StatisticsError

GROUPS_OF_UNKNOWN_LISTS = 32
"""Image groups where the list of images is not known before: image index modulo this number."""

LAG = 2
"""Block outputs that the network may be ahead of the statistics on a GPU: each holds its memory."""


class Engine(Protocol):
    """What measures block outputs into the batch it was made for."""

    def measure(self, tokens: Tensor, layer: int, rows: RowMoments | None = None) -> None:
        """Measure the output of a block, or, as layer -1, the tokens that enter block 0."""
        ...

    def commit(self, totals: CollectorState, groups: Tensor) -> None:
        """Fold the batch into the running statistics; its last block was measured.

        Args:
            totals: The running statistics.
            groups: int64 ``(images,)`` on the CPU, group of each image.
        """
        ...


class StatisticsCollector:
    """Channel statistics of every block output, over any number of batches.

    Args:
        depth: Number of blocks.
        channels: Embedding dimension, at least 3.
        n_storage: Storage tokens between CLS and the patches; they belong to neither role.
        device: Where the block outputs are, and where everything is accumulated.
        extras: Also measure what the payload's ``extras`` hold, and the tokens that enter
            block 0 (layer -1).
        image_groups: int64 ``(images,)`` on the CPU, the group of every image of the list; None
            for image index modulo `GROUPS_OF_UNKNOWN_LISTS`.
        keep: int64 ``(n,)`` on the CPU, ascending positions of the images whose vectors are kept;
            None for none.
        engine: ``"torch"``, ``"triton"``, or ``"auto"``: Triton on a GPU where it is installed.
            The results agree; the attribute of that name says which was chosen.
        watched: int64 ``(depth, n)``, channels of each block output whose mean magnitude is kept
            for every patch of the grid (with extras); None for none.
        grid: Rows and columns of the patch grid; needed with ``watched``.
    """

    def __init__(
        self,
        depth: int,
        channels: int,
        n_storage: int,
        device: torch.device | str,
        *,
        extras: bool = False,
        image_groups: Tensor | None = None,
        keep: Tensor | None = None,
        engine: Literal["auto", "torch", "triton"] = "auto",
        watched: Tensor | None = None,
        grid: tuple[int, int] = (0, 0),
    ) -> None:
        self.depth, self.channels, self.n_storage = depth, channels, n_storage
        self.extras, self.grid = extras, grid

        self._image_groups = image_groups

        def new_state(groups: int) -> CollectorState:
            return CollectorState(
                depth,
                channels,
                n_storage,
                device,
                extras=extras,
                groups=groups,
                watched=watched,
                patches=grid[0] * grid[1],
            )

        def new_batch_state(images: int) -> CollectorState:
            state = new_state(images)
            state.watched.copy_(self._state.watched)  # a resumed run has its own choice
            return state

        groups = GROUPS_OF_UNKNOWN_LISTS if image_groups is None else int(image_groups.max()) + 1
        self._state = new_state(groups)
        self._batch = Batch(new_batch_state)
        keep = torch.empty(0, dtype=torch.int64) if keep is None else keep
        self._vectors = VectorStore(keep, depth, channels)
        self._open = False
        on_gpu = torch.device(device).type == "cuda"
        if engine == "auto":
            engine = "triton" if on_gpu and find_spec("triton") else "torch"
        self.engine = engine
        self._engine = _make_engine(engine, self._batch)
        self._stream = _statistics_stream(torch.device(device)) if on_gpu else None
        self._measured: deque[torch.cuda.Event] = deque()

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Run on the stream of the statistics, after what the caller's stream holds by now."""
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            yield

    def _catch_up(self) -> None:
        """Make the caller's stream wait for the statistics; the host goes on."""
        if self._stream is not None:
            torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)

    def _limit_lag(self, *read: Tensor) -> None:
        """Keep the memory of what is read until it was, and the network from running ahead."""
        if self._stream is None:
            return
        for tensor in read:
            tensor.record_stream(self._stream)
        measured = torch.cuda.Event()
        measured.record(self._stream)
        self._measured.append(measured)
        if len(self._measured) > LAG:
            torch.cuda.current_stream(self._stream.device).wait_event(self._measured.popleft())

    @torch.no_grad()
    def begin_batch(self, indices: Tensor, valid: Tensor) -> None:
        """Name the images of the next batch.

        Args:
            indices: int64 ``(images,)`` on the CPU, position in the image list; decides the group.
            valid: bool ``(images,)``; rows where it is False are padding and never counted.

        Raises:
            RuntimeError: If the batch before was neither committed nor discarded.
        """
        if self._open:
            raise RuntimeError("the batch before was neither committed nor discarded")
        if self._image_groups is None:
            groups = indices % GROUPS_OF_UNKNOWN_LISTS
        else:
            groups = self._image_groups[indices]
        with self._aside():
            self._batch.begin(indices, valid)
        self._images, self._groups = (indices, valid), groups
        self._open = True

    @torch.no_grad()
    def observe(self, layer: int, tokens: Tensor, rows: RowMoments | None = None) -> None:
        """Measure one block output of the current batch.

        Args:
            layer: Block index, or -1 for the tokens that enter block 0 (used with extras only).
            tokens: ``(images, 1 + n_storage + patches, channels)``, any float dtype, on the
                collector's device. Not kept.
            rows: What the network has measured of these tokens, if it has; saves the kernels a
                pass over them, and changes no result.

        Raises:
            RuntimeError: If no batch was begun, the layer was observed in it already, or the
                number of patches is not what was announced for the watched channels.
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
            with self._aside():
                self._engine.measure(tokens.detach(), layer, rows)
            self._limit_lag(tokens, *(rows or ()))

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
        with self._aside():
            self._engine.commit(self._state, self._groups)
            if len(self._vectors.keep):
                self._vectors.add(*self._images, self._batch.state)
        self._open = False

    def discard_batch(self) -> None:
        """Forget the current batch, if there is one."""
        self._open = False

    def merge(self, other: StatisticsCollector) -> None:
        """Fold what another collector (of another rank) has committed; it stays as it is.

        Raises:
            StatisticsError: If it was made for another backbone, other flags or watched channels.
        """
        self._catch_up()
        other._catch_up()
        if self._identity() != other._identity():
            raise StatisticsError(
                f"cannot merge statistics of {other._identity()} into {self._identity()}"
            )
        if not torch.equal(self._state.watched.cpu(), other._state.watched.cpu()):
            raise StatisticsError("cannot merge statistics that watched other channels")
        self._state.merge(other._state)
        self._vectors.merge(other._vectors)

    def _identity(self) -> dict[str, object]:
        return {
            "depth": self.depth,
            "channels": self.channels,
            "n_storage": self.n_storage,
            "extras": self.extras,
            "image groups": self._state.groups,
            "watched": self._state.watched.shape[1],
            "grid": self.grid,
        }

    def state_dict(self) -> dict[str, Tensor]:
        """Return all committed statistics: plain tensors that `load_state_dict` takes back.

        The tensors are the live accumulators; copy them if they must survive the next commit.
        """
        self._catch_up()
        return self._state.state_dict() | (self.vectors() if len(self._vectors.keep) else {})

    def vectors(self) -> dict[str, Tensor]:
        """Return the kept vectors so far; waits for the device.

        Returns:
            ``vector_places``, int64 ``(n,)``, positions in `keep`, and ``vectors``, float32
            ``(n, depth, 3, channels)``, on the CPU.
        """
        if self._stream is not None:
            self._stream.synchronize()
        return self._vectors.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replace all committed statistics; a batch under way is discarded.

        Raises:
            StatisticsError: If they belong to another backbone or other flags.
        """
        self._catch_up()
        parts = dict(state)
        if len(self._vectors.keep) and all(name in parts for name in VECTORS):
            try:
                self._vectors.load_state_dict({name: parts.pop(name) for name in VECTORS})
            except ValueError as error:
                raise StatisticsError(f"saved statistics hold {error}") from error
        self._state.load_state_dict(parts)
        self._batch.state.watched.copy_(self._state.watched)
        self.discard_batch()

    def finalize(self, norm: NormParameters) -> CollectedStatistics:
        """Return the payload's statistics; more batches may follow.

        Args:
            norm: Parameters of the model's output LayerNorm, for `global_ln`.

        Raises:
            StatisticsError: If a layer has no finite token of a role; it names the first.
        """
        self._catch_up()
        return summarize(self._state, norm, self.grid)


@functools.cache
def _statistics_stream(device: torch.device) -> torch.cuda.Stream:
    # One for all collectors: with one each, a few of many ran four percent slower than the rest.
    return torch.cuda.Stream(device)


def _make_engine(name: str, batch: Batch) -> Engine:
    if name == "torch":
        return TorchEngine(batch)
    from analysis.collect.statistics.triton_engine import TritonEngine

    return TritonEngine(batch)
