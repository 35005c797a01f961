"""What a process of the background may take, held by the system; each limits itself."""

from __future__ import annotations

import faulthandler
import os
import resource

import psutil

QUIET_HOURS_ENV = "DASHBOARD_JOB_QUIET_HOURS"
QUIET_S = 3600.0 * float(os.environ.get(QUIET_HOURS_ENV, "1"))
"""What does not move on for so long hangs, and is ended."""

QUIET_MARK = "Timeout ("
"""How a process that was ended for it begins its last words in the log."""

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


def limit_data() -> None:
    """Let this process hold as much memory as the machine has; then it fails, not its neighbours.

    Files that are mapped do not count, so that weights may be larger.
    """
    total = psutil.virtual_memory().total
    resource.setrlimit(resource.RLIMIT_DATA, (total, total))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
