"""Keep a process that has imported what an extraction imports, for the next job.

Importing torch and the collector takes seconds of every extraction. The server starts one standby
process (`analysis.cli.standby`) half a minute after its first page, and again when its form is
shown, and hands it to the worker of the next job: a pair of sockets joins the two
(`standby_command`). The process carries out one extraction and ends with it. It also ends when the
server does, or after half an hour without a job.

It takes no memory of a GPU until the form shows a run that can be started. It then opens the GPU
of that run, loads the kernels if half of its memory is free, and lets go of it two minutes after
the form last showed the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from analysis.jobs.background import start_waiting
from analysis.jobs.extractions.devices import list_devices
from analysis.jobs.extractions.ready_worker import prepare_worker

COMMAND = (sys.executable, "-m", "analysis")
"""The one command that a standby process can carry out."""

AGAIN_S = 60.0
"""After which a run that is still shown is announced again, before it is forgotten."""

STANDBY_ENV = "DASHBOARD_STANDBY"
CAN_STAND_BY = sys.platform == "linux"
"""Elsewhere a process cannot be given the name of its job, by which others find it."""

_guard = threading.Lock()
_waiting: tuple[subprocess.Popen[bytes], socket.socket] | None = None
_working: subprocess.Popen[bytes] | None = None
_starter: threading.Thread | None = None
_announced: list[str] = []
"""Arguments that the waiting process knows of, or will be told of when it has been started."""
_announced_at = 0.0


def prepare_standby(arguments: Sequence[str] = ()) -> None:
    """Start a standby process, unless one waits or the last one still works. Returns at once.

    Args:
        arguments: Of the command that may be started next, for which the process then gets ready;
            none where nobody has chosen yet.
    """
    global _announced, _announced_at, _starter, _waiting
    if not CAN_STAND_BY or os.environ.get(STANDBY_ENV) == "0":
        return
    with _guard:
        if _waiting is not None and _waiting[0].poll() is not None:  # nobody needed it for long
            _waiting[1].close()
            _waiting = None
        is_old = time.monotonic() - _announced_at > AGAIN_S
        if arguments and (is_old or [*arguments] != _announced):
            _announced, _announced_at = [*arguments], time.monotonic()
            if _waiting is not None:
                _announce(_waiting[1])
        if _waiting is None and (_starter is None or not _starter.is_alive()):
            _starter = threading.Thread(target=_start, name="standby", daemon=True)
            _starter.start()


def _start() -> None:
    global _waiting
    list_devices()  # imports torch too, and the first page waits for neither
    with _guard:
        if _working is not None and _working.poll() is None:
            return
    prepare_worker()
    waiting = start_waiting([*COMMAND, "standby"])
    with _guard:
        _waiting = waiting
        if _announced:
            _announce(waiting[1])


def _announce(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has ended, or has not read many earlier ones yet
        connection.send(json.dumps({"arguments": _announced}).encode(), socket.MSG_DONTWAIT)


def take_standby(command: Sequence[str]) -> socket.socket | None:
    """Return the socket to the standby process, for one worker; None where none can be used.

    Args:
        command: What the worker is to run; only `COMMAND` can be carried out by a standby process.
    """
    global _announced, _waiting, _working
    with _guard:
        if tuple(command) != COMMAND or _waiting is None:
            return None
        process, mine = _waiting
        _waiting, _announced = None, []
        if process.poll() is not None:
            mine.close()
            return None
        _working = process
        return mine
