"""The processes that decode images: how many, how they start, and what signals do to them."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import TypeVar

import torch
from torch.utils.data import DataLoader

MAX_WORKERS = 16
PREFETCH = 2
"""Batches that wait per worker, beside the one in the making."""

T = TypeVar("T")
_SHARED_MEMORY = Path("/dev/shm")  # where torch passes tensors between processes


def choose_num_workers() -> int:
    """Return how many decoding processes this machine's cores allow, shared between local ranks.

    One core is left to the process that feeds the network.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(MAX_WORKERS, (cores or 1) // ranks - 1))


def fit_shared_memory(num_workers: int, batch_bytes: int) -> int:
    """Return how many of `num_workers` the shared memory can feed: a container may have 64 MB."""
    if not _SHARED_MEMORY.is_dir():
        return num_workers
    free = shutil.disk_usage(_SHARED_MEMORY).free
    return min(num_workers, free // 2 // ((PREFETCH + 1) * batch_bytes))


def worker_context() -> BaseContext | None:
    """Return how workers start: by fork on Linux.

    A spawned worker imports torch anew, about two seconds each, which a job of a few hundred
    images never earns back. Fork is safe here although the parent may have threads and a CUDA
    context: a worker decodes with one thread (no OpenMP team to wait for) and never touches CUDA.
    """
    return multiprocessing.get_context("fork") if sys.platform == "linux" else None


def start_workers(loader: DataLoader[T]) -> Iterator[T]:
    """Start the workers without torch's SIGCHLD handler.

    That handler raises a dead worker's error in whatever the main thread is doing at the moment;
    without it the iterator raises it, a few seconds later, where it can be explained.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)
    return batches


def prepare_worker(_: int) -> None:
    """Set up a worker process before its first batch."""
    torch.set_num_threads(1)
    # Signals sent to the job's process group are for the main process: it ends its workers
    # itself, and one that dies first would turn a cancellation into an error.
    os.setpgid(0, 0)
    # Errors of decoding travel with the batch. What is left are the threads that hand batches over,
    # to a main process that may have been cancelled meanwhile.
    sys.excepthook = lambda *_: None
    if sys.platform == "linux":
        # torch looks for a dead parent every few seconds; until then a forked worker would hold
        # the parent's GPU memory.
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
