"""Processes that decode images in order, ahead of the network; imports no torch.

Started before torch is imported, they have decoded the first batches by the time it is. Pixels
stand in shared memory that is part of no file system, so that a container's small `/dev/shm` does
not matter. Two pipes carry the rest: places in the list go to whichever worker is idle, reports
come back. A worker ends when the pipe of places is closed, as by its parent's death.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import multiprocessing
import os
import select
import signal
import struct
import sys
import warnings
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from typing import NamedTuple, NoReturn

import numpy as np

from analysis.collect.images.decode import Pixels, decode_image, describe_failure

MAX_WORKERS = 16
AHEAD = 24
"""Images that are decoded ahead for each worker."""
AHEAD_BYTES = 768 * 2**20
"""Most memory for them."""
NICE = 5
"""By how much workers stand behind the process that imports torch and feeds the network."""

CAN_FORK = sys.platform == "linux"

_PLACE = struct.Struct("<q")
_REPORT = struct.Struct("<q?500s")  # far below what a pipe takes in one piece
_OUT_OF_MEMORY = "MemoryError"


def choose_num_workers() -> int:
    """Return how many decoding processes this machine's cores allow, shared between local ranks.

    One core is left to the process that feeds the network. None where processes cannot be forked
    safely, which is everywhere but on Linux.
    """
    if not CAN_FORK:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(MAX_WORKERS, (cores or 1) // ranks - 1))


class Outcome(NamedTuple):
    """What became of one image."""

    reason: str | None = None
    """Why it could not be decoded; None where it could."""
    cut: bool = False
    """Whether values above 255 were cut off, see `decode_image`."""


class WorkerDiedError(RuntimeError):
    """A decoding process ended before its work did."""


class DecodePool:
    """Decode a list of images in worker processes, and hand them out in order.

    No file is opened before `begin`.

    Args:
        paths: Image files.
        size: Width and height in pixels that they are resized to.
        num_workers: Processes, at least 1.

    Attributes:
        taken: Images handed out and given back so far.
    """

    def __init__(self, paths: Sequence[str], size: tuple[int, int], num_workers: int) -> None:
        self.paths, self.size, self.taken = tuple(paths), size, 0
        width, height = size
        self._shape = (3, height, width)
        fitting = max(AHEAD_BYTES // (3 * height * width), 2 * num_workers)
        self.slots = min(len(self.paths), num_workers * AHEAD, fitting)
        self._memory = mmap.mmap(-1, self.slots * 3 * height * width)
        self._pixels = np.frombuffer(self._memory, np.uint8).reshape(self.slots, *self._shape)
        self._outcomes: dict[int, Outcome] = {}
        self._asked = 0
        places, self._ask = os.pipe()
        self._reports, report = os.pipe()
        fork = multiprocessing.get_context("fork")
        self._workers: list[BaseProcess] = []
        with warnings.catch_warnings():
            # Fork is safe although the parent may have threads: a worker only decodes.
            warnings.simplefilter("ignore", DeprecationWarning)
            for _ in range(min(num_workers, self.slots)):
                worker = fork.Process(target=self._work, args=(places, report), daemon=True)
                worker.start()
                self._workers.append(worker)
        os.close(places)
        os.close(report)

    def begin(self) -> None:
        """Have the first images decoded."""
        for _ in range(self.slots):
            self._ask_next()

    def look(self, place: int) -> tuple[Pixels, Outcome]:
        """Wait for an image and return its pixels and what became of it.

        Args:
            place: In `paths`; fewer than `slots` places after `taken`.

        Returns:
            RGB pixels ``[3, height, width]``, which are overwritten after `give_back`, and the
            outcome.

        Raises:
            WorkerDiedError: If a process ended.
            MemoryError: If one ran out of memory.
        """
        while place not in self._outcomes:
            self._read_report()
        outcome = self._outcomes[place]
        if outcome.reason == _OUT_OF_MEMORY:
            raise MemoryError(f"while reading {self.paths[place]}")
        return self._pixels[place % self.slots], outcome

    def give_back(self) -> None:
        """Free the memory of the first image that was not given back yet."""
        del self._outcomes[self.taken]
        self.taken += 1
        self._ask_next()

    def close(self) -> None:
        """End the workers."""
        for descriptor in (self._ask, self._reports):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._ask = self._reports = -1  # of others by now
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.join()
        self._workers.clear()

    def _ask_next(self) -> None:
        if self._asked < len(self.paths):
            with contextlib.suppress(BrokenPipeError):  # no worker is left, as `look` finds out
                os.write(self._ask, _PLACE.pack(self._asked))
            self._asked += 1

    def _read_report(self) -> None:
        while not select.select([self._reports], [], [], 0.5)[0]:
            self._require_workers()
        data = os.read(self._reports, _REPORT.size)
        if not data:
            self._require_workers(ended=True)
        place, cut, text = _REPORT.unpack(data)
        reason = text.rstrip(b"\0").decode("utf-8", "ignore")
        self._outcomes[place] = Outcome(reason or None, cut)

    def _require_workers(self, *, ended: bool = False) -> None:
        for worker in self._workers:
            if ended or not worker.is_alive():
                raise WorkerDiedError(f"process {worker.pid} ended with {worker.exitcode}")

    def _work(self, places: int, report: int) -> NoReturn:
        prepare_worker()
        os.close(self._ask)
        os.close(self._reports)
        while data := os.read(places, _PLACE.size):
            (place,) = _PLACE.unpack(data)
            target = self._pixels[place % self.slots]
            try:
                outcome = decode_into(target, self.paths[place], self.size)
            except MemoryError:
                outcome = Outcome(_OUT_OF_MEMORY)
            text = (outcome.reason or "").encode()[:500]
            try:
                os.write(report, _REPORT.pack(place, outcome.cut, text))
            except BrokenPipeError:
                break
        os._exit(0)


def decode_into(target: Pixels, path: str, size: tuple[int, int]) -> Outcome:
    """Decode an image into `target`; leave zeros and say the reason where that fails.

    Raises:
        MemoryError: Which says nothing about the file.
    """
    try:
        target[:], cut = decode_image(path, size)
    except MemoryError as error:
        raise MemoryError(f"while reading {path}") from error
    except Exception as error:  # decoders raise anything on a broken file
        target[:] = 0
        return Outcome(describe_failure(error))
    return Outcome(cut=cut)


def prepare_worker() -> None:
    """Set up a worker process before its first image."""
    # Signals sent to the job's process group are for the main process: it ends its workers
    # itself, and one that dies first would turn a cancellation into an error.
    os.setpgid(0, 0)
    os.nice(NICE)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    # a worker that is stuck in a file does not see that the pipe was closed
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
