"""What the environment says about several processes: torchrun's, or a scheduler's rendezvous."""

from __future__ import annotations

from collections.abc import Mapping

RENDEZVOUS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What PyTorch's `env://` needs; set by Kubernetes' PyTorchJob and by many launch scripts."""

_LOCAL_RANKS = ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")


def is_torchrun(environment: Mapping[str, str]) -> bool:
    """Return whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in environment


def has_rendezvous(environment: Mapping[str, str]) -> bool:
    """Return whether a rank, two or more processes and the place where they meet are given."""
    numbers = [environment.get(name, "").strip() for name in ("RANK", "WORLD_SIZE", "MASTER_PORT")]
    if not all(number.isdecimal() for number in numbers) or not environment.get("MASTER_ADDR"):
        return False
    rank, size = int(numbers[0]), int(numbers[1])
    return size > 1 and rank < size


def local_rank(environment: Mapping[str, str]) -> int:
    """Return the number of this process among those of its machine; 0 where nothing says it."""
    given = (environment.get(name, "").strip() for name in _LOCAL_RANKS)
    return next((int(number) for number in given if number.isdecimal()), 0)
