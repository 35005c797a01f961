"""Several processes, one payload: what their launcher says of them, and one gathering at the end.

Each rank measures its own batches with its own collector; what travels is a choice of the first
rank at the start and the finished accumulators at the end, over gloo on the CPU. So any mix of
machines and GPUs will do, and a rank without a single image takes part like every other.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from analysis.collect.plan.launcher import has_rendezvous, is_torchrun, local_rank
from analysis.errors import ConfigError

log = logging.getLogger("analysis")

GATHER_TIMEOUT = timedelta(hours=24)
"""How long a rank waits at the end for the slowest one."""

MEETING_TIMEOUT = timedelta(minutes=5)
"""How long a rank waits at the start for the others, where no torchrun watches over them."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that were started together; a lone process is rank 0 of 1."""

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
    """Join the processes that were started together with this one, if any.

    Raises:
        ConfigError: If the others do not come.
    """
    if not (is_torchrun(os.environ) or has_rendezvous(os.environ)):
        return Ranks()
    if not dist.is_initialized():
        store = None if is_torchrun(os.environ) else _meet()
        where = {} if store is None else _place(store)
        dist.init_process_group("gloo", timeout=GATHER_TIMEOUT, **where)
    return Ranks(dist.get_rank(), dist.get_world_size(), local_rank(os.environ))


def _meet() -> dist.Store:
    """Wait for the others at the place that the environment names."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    log.info("rank %d waits for %d processes in all at %s", rank, size, address)
    try:
        return dist.TCPStore(
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            size,
            is_master=rank == 0,
            timeout=MEETING_TIMEOUT,
        )
    except (dist.DistError, ValueError) as error:
        raise ConfigError(
            f"The environment announces {size} processes (WORLD_SIZE), but they did not meet at "
            f"{address} (MASTER_ADDR, MASTER_PORT): {str(error).splitlines()[0]} Start all of "
            "them, or unset RANK and WORLD_SIZE for a single process."
        ) from error


def _place(store: dist.Store) -> dict[str, Any]:
    return {
        "store": dist.PrefixStore("analysis", store),
        "rank": int(os.environ["RANK"]),
        "world_size": int(os.environ["WORLD_SIZE"]),
    }


def leave_ranks() -> None:
    """Leave the group; does nothing for a lone process."""
    if dist.is_initialized():
        dist.destroy_process_group()
