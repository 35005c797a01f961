"""Processes by identity: a process id passes to a stranger once its own process has ended.

The second half of an identity is when the process started. Where the system does not tell
(`/proc` is Linux's), the process id alone has to do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def identify(pid: int) -> dict[str, int | None]:
    """Return the identity of a process, to be kept as JSON."""
    return {"pid": pid, "start": _read_start(pid)}


def send_signal(process: Mapping[str, Any] | None, number: int) -> bool:
    """Send a signal to the very process that was identified, and return whether it was there.

    Args:
        process: What `identify` returned at some time, in some container; None where nothing is
            known.
        number: The signal; 0 only asks.
    """
    pid = (process or {}).get("pid")
    if type(pid) is not int or pid <= 1 or process != identify(pid):
        return False
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _read_start(pid: int) -> int | None:
    """Return when a living process started, in clock ticks since the machine did: proc(5)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = status.rpartition(b")")[2].split()
    return None if fields[0] == b"Z" else int(fields[19])  # a zombie has ended


PACKAGE_ROOT = Path(__file__).resolve().parents[2]
"""Folder that `python -m analysis...` must run in."""
