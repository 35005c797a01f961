"""Keep a worker that has imported what it needs, for the next job.

It stands beside the process of `standby`, so that a click waits for neither. It waits at a socket
for its job, and ends with the server or after half an hour without one.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from analysis.files.writing import open_log
from analysis.jobs.background import start_background, start_waiting
from analysis.jobs.extractions.worker_request import READY, TAKEN

WORKER = "analysis.jobs.extractions.worker"

ANSWER_S = 20.0
"""How long a request may wait for a worker that is still importing."""

_guard = threading.Lock()
_waiting: tuple[subprocess.Popen[bytes], socket.socket] | None = None


def prepare_worker() -> None:
    """Start a worker without a job, unless one waits."""
    global _waiting
    with _guard:
        if _waiting is not None and _waiting[0].poll() is None:
            return
        if _waiting is not None:  # nobody needed it for long
            _waiting[1].close()
        _waiting = start_waiting([sys.executable, "-m", WORKER, READY])


def start_worker(
    folder: Path, lock: int, log: Path, arguments: Sequence[str], standby: int | None
) -> subprocess.Popen[bytes]:
    """Start the worker of a job: the one that waits, or a new one.

    Args:
        folder: Of the job.
        lock: Descriptor of the lock that says that the job lives; the caller closes its own copy.
        log: File that gets all that the worker prints.
        arguments: Queue, roots and command, see `worker`.
        standby: Descriptor of the socket to the process of `standby`; None without one.

    Raises:
        OSError: If the log cannot be written or the process cannot be started.
    """
    passed = [] if standby is None else [standby]
    ready = _take()
    if ready is not None:
        process, connection = ready
        request = json.dumps([str(folder), *arguments]).encode()
        # OSError: it has ended, or does not answer; one that takes the request later ends itself
        with connection, contextlib.suppress(OSError), open_log(log) as file:
            connection.settimeout(ANSWER_S)
            socket.send_fds(connection, [request], [file.fileno(), lock, *passed])
            if connection.recv(len(TAKEN)):
                return process
    queue, roots, *command = arguments
    standby_argument = str(-1 if standby is None else standby)
    whole = [queue, roots, standby_argument, *command]
    return start_background(WORKER, folder, lock, log, whole, passed)


def _take() -> tuple[subprocess.Popen[bytes], socket.socket] | None:
    global _waiting
    with _guard:
        ready, _waiting = _waiting, None
    if ready is not None and ready[0].poll() is not None:
        ready[1].close()
        return None
    return ready
