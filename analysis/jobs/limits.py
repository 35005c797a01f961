"""What a process of the background may take, held by the system; each limits itself."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
import time
from pathlib import Path

import psutil

QUIET_HOURS_ENV = "DASHBOARD_JOB_QUIET_HOURS"
QUIET_S = 3600.0 * float(os.environ.get(QUIET_HOURS_ENV, "1"))
"""What does not move on for so long hangs, and is ended."""

QUIET_MARK = "Timeout ("
"""How a process that was ended for it begins its last words in the log."""

MEMORY_ENV = "DASHBOARD_JOB_MEMORY_GB"
MEMORY_MARK = "Ended for holding more than "
"""How the watcher of memory begins its words in the log."""
WATCH_S = 0.5
_CONTAINER_MEMORY = Path("/sys/fs/cgroup/memory.max")

GRACE_S = 10.0
"""How long what was asked to stop may take before it is killed."""


def end_when_quiet() -> None:
    """End this process `QUIET_S` after the last call, with a traceback in its log.

    By a thread without Python, so that code which holds the interpreter's lock is ended too.
    """
    faulthandler.dump_traceback_later(QUIET_S, exit=True, file=2)


def wait_quietly() -> None:
    """Take the last call of `end_when_quiet` back: there is nothing to do."""
    faulthandler.cancel_dump_traceback_later()


def max_private_memory() -> int:
    """Return the bytes of main memory that a job may hold: `MEMORY_ENV`, else nine tenths of all.

    All is what this container may have, where it has a limit of its own.
    """
    chosen = os.environ.get(MEMORY_ENV)
    if chosen:
        return int(float(chosen) * 1e9)
    total = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):
        total = min(total, int(_CONTAINER_MEMORY.read_text()))
    return total * 9 // 10


def measure_private_memory(pid: int) -> int:
    """Return the bytes of main memory that a process and its children hold for themselves alone.

    What a GPU's driver reserves of the address space is not held and does not count, neither do
    files that are mapped.
    """
    held = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                memory = one.memory_info()
                held += memory.rss - getattr(memory, "shared", 0)
    return held


def watch_memory() -> None:
    """Have this process killed once it holds more than it may; its log then says so.

    By a process of its own, which a library that holds the interpreter's lock does not stop. Called
    before torch is imported: the watcher is a copy of this process as it is now.
    """
    most, watched = max_private_memory(), os.getpid()
    if os.fork():
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # ends with what it watches, not before
    while os.getppid() == watched:
        if measure_private_memory(watched) > most:
            os.write(2, f"{MEMORY_MARK}{most / 1e9:.1f} GB\n".encode())
            os.kill(watched, signal.SIGKILL)
        time.sleep(WATCH_S)
    os._exit(0)


def limit_data() -> None:
    """Let this process hold as much memory as the machine has; then it fails, not its neighbours.

    Files that are mapped do not count, so that weights may be larger.
    """
    total = psutil.virtual_memory().total
    resource.setrlimit(resource.RLIMIT_DATA, (total, total))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
