"""How the processes of a run were started, as far as the environment says."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.collect.plan.launcher import RENDEZVOUS, has_rendezvous, is_torchrun
from analysis.errors import ConfigError

_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE")
_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK")


def check_launch(environment: Mapping[str, str]) -> None:
    """Refuse one of several processes that do not know of each other.

    Cluster schedulers and mpirun set a rank and a number of processes. Without a rendezvous too,
    each process would measure all images and write the one payload.

    Raises:
        ConfigError: If a rank above 0 or several processes are announced without a rendezvous.
    """
    if is_torchrun(environment) or has_rendezvous(environment):
        return
    announced = [
        f"{name}={environment[name]}"
        for names, least in ((_RANKS, 1), (_SIZES, 2))
        for name in names
        if _number(environment.get(name)) >= least
    ]
    if announced:
        missing = [name for name in RENDEZVOUS if not environment.get(name, "").strip()]
        raise ConfigError(
            f"The environment announces several processes ({', '.join(announced)}), but torchrun "
            f"did not start this one and {' and '.join(missing) or 'a valid number'} is missing, "
            "so they cannot share the images out. Start them with torchrun --nproc-per-node N -m "
            f"analysis, or unset {' and '.join(item.partition('=')[0] for item in announced)} for "
            "a single process."
        )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.strip().isdecimal() else 0
