"""Accumulators on disk while a run goes on, so that a killed run resumes where it was.

One file per rank beside the output, `<stem>.rank<R>of<W>.checkpoint`, replaced atomically. It
holds whole batches only, and the identity of the run: a checkpoint of other weights, images or
settings is refused by the name of what differs.
"""

from __future__ import annotations

import glob
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from analysis.collect.run.ranks import Ranks
from analysis.collect.run.tally import Tally
from analysis.collect.statistics.collector import StatisticsCollector
from analysis.errors import ConfigError, StatisticsError
from analysis.files.atomic import replace_file
from analysis.files.safe_load import load_torch_file
from analysis.files.writing import remove_file

DEFAULT_INTERVAL_S = 30.0

log = logging.getLogger("analysis")


class Checkpoint:
    """Keep one rank's progress on disk.

    Args:
        output: Path of the payload to be.
        identify: Returns what must be equal for a run to be continued, in plain types, compared
            by key. Asked for no sooner than needed: the digest of the weights takes seconds.
        ranks: Which rank this is.
        every: Seconds between two writes; 0 writes after every batch, None is the default.
    """

    def __init__(
        self,
        output: Path,
        identify: Callable[[], dict[str, Any]],
        ranks: Ranks,
        every: float | None,
    ) -> None:
        name = f"{output.stem}.rank{ranks.rank}of{ranks.world_size}.checkpoint"
        self.path = output.with_name(name)
        self._identify = identify
        self._every = DEFAULT_INTERVAL_S if every is None else every
        self._last = time.monotonic()

    def save_if_due(self, collector: StatisticsCollector, tally: Tally) -> bool:
        """Write the committed batches if the last write is old enough, and return whether it was.

        Waits for the device. A disk that is full for now is no reason to lose the run: the log
        says so, and the earlier checkpoint stays.
        """
        if time.monotonic() - self._last < self._every:
            return False
        state = {name: tensor.cpu() for name, tensor in collector.state_dict().items()}
        content = {"identity": self._identify(), "tally": asdict(tally), "collector": state}
        self._last = time.monotonic()
        try:
            with replace_file(self.path) as file:
                torch.save(content, file)
        except OSError as error:
            log.warning("%s: not written (%s); the run goes on", self.path, error.strerror)
            return False
        self._last = time.monotonic()
        return True

    def resume(self, collector: StatisticsCollector) -> Tally | None:
        """Load what was counted into `collector`; None where there is no checkpoint.

        Raises:
            ConfigError: If the file cannot be read, or is of another run; the message names what
                differs.
        """
        try:
            self.path.stat()
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            pass  # reading it says what is wrong
        content = load_torch_file(self.path, kind="checkpoint", error=ConfigError, checksums=True)
        try:
            found, tally, state = content["identity"], content["tally"], content["collector"]
            differing = [
                f"{key} (was {found.get(key)}, is {value})"
                for key, value in self._identify().items()
                if found.get(key) != value
            ]
            if differing:
                raise ConfigError(
                    f"{self.path}: belongs to another run; what differs: {', '.join(differing)}. "
                    "Run again without --resume to start anew."
                )
            tally["skipped"] = [(int(index), str(reason)) for index, reason in tally["skipped"]]
            counted = Tally(**tally)
            _check(state, counted)
            collector.load_state_dict(state)
            return counted
        except StatisticsError as error:
            raise ConfigError(f"{self.path}: {error}") from error
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise ConfigError(
                f"{self.path}: not a checkpoint of this tool ({error}). "
                "Run again without --resume to start anew."
            ) from error


def _check(state: Mapping[str, torch.Tensor], tally: Tally) -> None:
    """Refuse numbers that no run leaves behind, before they spread to all later ones."""
    if not all(bool(torch.isfinite(state[name]).all()) for name in ("mean", "m2")):
        raise ValueError("NaN or infinite statistics")
    if bool((state["count"] < 0).any()):
        raise ValueError("negative token counts")
    numbers = (tally.num_images, tally.num_batches, tally.next_batch, tally.seconds)
    if any(type(number) not in (int, float) or not 0 <= number < 1e15 for number in numbers):
        raise ValueError(f"impossible counts {numbers}")
    if not all(isinstance(notice, str) for notice in tally.notices):
        raise ValueError("notices that are no text")


def remove_checkpoints(output: Path) -> None:
    """Delete every rank's checkpoint beside `output`; called once the payload is written."""
    for path in output.parent.glob(f"{glob.escape(output.stem)}.rank*of*.checkpoint"):
        remove_file(path)
