"""How the processes of a run were started, as far as the environment says."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.errors import ConfigError

_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE")
_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK")


def check_launch(environment: Mapping[str, str]) -> None:
    """Refuse one of several processes that do not know of each other.

    Cluster schedulers and mpirun set a rank and a number of processes; only torchrun also gives
    them a rendezvous. Without it each process would measure all images and write the one payload.

    Raises:
        ConfigError: If a rank above 0 or several processes are announced without torchrun.
    """
    if "TORCHELASTIC_RUN_ID" in environment:
        return
    announced = [
        f"{name}={environment[name]}"
        for names, least in ((_RANKS, 1), (_SIZES, 2))
        for name in names
        if _number(environment.get(name)) >= least
    ]
    if announced:
        raise ConfigError(
            f"The environment announces several processes ({', '.join(announced)}), but torchrun "
            "did not start this one, so they cannot share the images out. Start them with "
            "torchrun --nproc-per-node N -m analysis, or unset "
            f"{' and '.join(item.partition('=')[0] for item in announced)} for a single process."
        )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.strip().isdecimal() else 0
