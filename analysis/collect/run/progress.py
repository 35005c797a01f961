"""How far an extraction is: a small JSON file for the dashboard, a bar for the terminal.

The file is replaced atomically and at most twice a second, so that any number of readers may poll
it. Its keys are the fields of `Progress`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from analysis.files.atomic import replace_text
from analysis.language import N_

WRITE_INTERVAL_S = 0.5


@dataclass
class Progress:
    """One moment of an extraction."""

    state: str = "preparing"
    """waiting, preparing, running, saving, done, failed or cancelled."""
    done: int = 0
    """Images counted so far."""
    total: int = 0
    """Images to be counted; 0 while unknown."""
    images_per_second: float | None = None
    seconds_left: float | None = None
    message: str = ""
    """What is happening, in a few words."""
    output: str | None = None
    """Path of the payload, once it is known."""
    error: str | None = None
    """Why it failed; None otherwise."""
    phases: list[tuple[str, float]] = field(default_factory=list)
    """What has been done, and the seconds that each took."""
    pid: int = field(default_factory=os.getpid)
    started: float = field(default_factory=time.time)
    """Unix seconds."""
    updated: float = field(default_factory=time.time)
    """Unix seconds."""


def seconds_since_start() -> float:
    """Return how long this process runs; 0 where the system does not say (all but Linux)."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0


class ProgressReporter:
    """Tell the terminal and the progress file how far the extraction is.

    Attributes:
        progress: The moment now.
        finish_early: Set when somebody has seen enough: the run ends with what has been counted.
    """

    def __init__(
        self, path: Path | None = None, *, quiet: bool = False, began: float | None = None
    ) -> None:
        """Write to a file and to the terminal.

        Args:
            path: The progress file; None for none.
            quiet: Whether the terminal gets no bar.
            began: Unix seconds from which the phases count. Default: the start of this process.
        """
        self.progress = Progress()
        self.finish_early = False
        self._path = path
        self._quiet = quiet
        self._bar: tqdm[Any] | None = None
        self._last_write = 0.0
        self._running_since = 0.0
        self._done_before = 0
        self._phase = N_("starting Python")
        self._phase_began = time.time() - seconds_since_start() if began is None else began

    def write_to(self, path: Path | None) -> None:
        """Keep the progress in this file from now on; None keeps no file."""
        self._path = path
        self._write(now=True)

    def say(self, state: str, message: str = "") -> None:
        """Enter a state, and write the file at once."""
        self.progress.state, self.progress.message = state, message
        self._enter_phase(message or state)
        self._write(now=True)

    def describe_phases(self) -> str:
        """Return in one line what has taken how many seconds."""
        return ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.progress.phases)

    def _enter_phase(self, name: str) -> None:
        now = time.time()
        self.progress.phases.append((self._phase, round(now - self._phase_began, 2)))
        self._phase, self._phase_began = name, now

    def begin(self, total: int, done: int = 0) -> None:
        """Enter the state "running" with `done` of `total` images already counted."""
        self.progress.total, self.progress.done, self._done_before = total, done, done
        self._running_since = time.monotonic()
        self._bar = tqdm(
            total=total,
            initial=done,
            unit="image",
            disable=self._quiet,
            file=sys.stderr,
            dynamic_ncols=True,
            smoothing=0.1,
        )
        self.say("running", N_("first batch"))

    def advance(self, images: int) -> None:
        """Count `images` more."""
        if self._phase == "first batch":
            self.progress.message = ""
            self._enter_phase(N_("running"))
        self.progress.done += images
        if self._bar is not None:
            with contextlib.suppress(OSError):  # the log's disk is full
                self._bar.update(images)
        elapsed = time.monotonic() - self._running_since
        counted = self.progress.done - self._done_before
        if elapsed > 0 and counted > 0:
            rate = counted / elapsed
            self.progress.images_per_second = rate
            self.progress.seconds_left = (self.progress.total - self.progress.done) / rate
        self._write()

    def end(self, state: str, *, message: str = "", error: str | None = None) -> None:
        """Enter a final state: done, failed or cancelled."""
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._bar.close()
        self.progress.error = error
        self.progress.seconds_left = 0.0 if state == "done" else None
        self.say(state, message)

    def _write(self, *, now: bool = False) -> None:
        moment = time.monotonic()
        if self._path is None or (not now and moment - self._last_write < WRITE_INTERVAL_S):
            return
        self._last_write = moment
        self.progress.updated = time.time()
        with contextlib.suppress(OSError):  # a full disk, say: no reason to lose the run
            replace_text(self._path, json.dumps(asdict(self.progress)))
