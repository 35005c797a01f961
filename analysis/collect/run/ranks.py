"""Several processes, one payload: what `torchrun` says about them, and one gathering at the end.

Each rank measures its own batches with its own collector; what travels is a choice of the first
rank at the start and the finished accumulators at the end, over gloo on the CPU. So any mix of
machines and GPUs will do, and a rank without a single image takes part like every other.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch.distributed as dist

GATHER_TIMEOUT = timedelta(hours=24)
"""How long a rank waits at the end for the slowest one."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that `torchrun` started; a lone process is rank 0 of 1."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """Among those of this machine; chooses the GPU."""

    @property
    def is_first(self) -> bool:
        """Return whether this rank writes the payload and talks to the terminal."""
        return self.rank == 0

    def share(self, value: Any) -> Any:
        """Return the first rank's `value` on every rank."""
        if self.world_size == 1:
            return value
        shared = [value]
        dist.broadcast_object_list(shared)
        return shared[0]

    def gather(self, value: Any) -> list[Any] | None:
        """Return every rank's `value` in rank order on the first rank, None on the others."""
        if self.world_size == 1:
            return [value]
        gathered = [None] * self.world_size if self.is_first else None
        dist.gather_object(value, gathered)
        return gathered


def join_ranks() -> Ranks:
    """Join the processes that `torchrun` started, if it started this one."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Ranks()
    if not dist.is_initialized():
        dist.init_process_group("gloo", timeout=GATHER_TIMEOUT)
    return Ranks(dist.get_rank(), dist.get_world_size(), int(os.environ["LOCAL_RANK"]))


def leave_ranks() -> None:
    """Leave the group; does nothing for a lone process."""
    if dist.is_initialized():
        dist.destroy_process_group()
