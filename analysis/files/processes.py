"""Processes by identity, and the memory that is left to them.

A process id passes to another process once its own has ended.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
"""Folder that `python -m analysis...` must run in."""

NAME_LENGTH = 15
"""Bytes of a process's name that Linux keeps."""


def name_process(name: str) -> None:
    """Name this process by the end of `name`; where the system cannot, do nothing."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name[-NAME_LENGTH:], encoding="ascii")


def identify(pid: int) -> dict[str, float | None]:
    """Return the identity of a process, to be kept as JSON: its id and when it started."""
    return {"pid": pid, "start": _read_start(pid)}


def free_memory() -> int:
    """Return the bytes of main memory that a process can still get without swapping."""
    return int(psutil.virtual_memory().available)


def send_signal(process: Mapping[str, Any] | None, number: int, *, named: str) -> bool:
    """Send a signal to the very process that was identified, and return whether it was there.

    Args:
        process: What `identify` returned at some time, in some container; None where nothing is
            known. It comes from a file that another person may have written.
        number: The signal; 0 only asks.
        named: Text that the process's command line must hold, or whose end it must have as its
            name (see `name_process`), so that no other process of this user is reached.
    """
    pid = (process or {}).get("pid")
    if type(pid) is not int or pid <= 1 or process != identify(pid):
        return False
    try:
        target = psutil.Process(pid)
        if target.name() != named[-NAME_LENGTH:] and not any(
            named in part for part in target.cmdline()
        ):
            return False
        target.send_signal(number)
    except (psutil.Error, PermissionError):
        return False
    return True


def _read_start(pid: int) -> float | None:
    """Return when a living process started, in seconds since 1970; None once it has ended."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (psutil.Error, OverflowError, ValueError):
        return None
