"""How a worker that was started before its job (`ready_worker`) is told of it."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
from pathlib import Path

from analysis.files.processes import name_process

READY = "--ready"
"""Comes before the socket in the arguments of a worker that has no job yet."""

IDLE_S = 1800.0
"""How long it waits for a job before it ends."""
MAX_REQUEST = 1 << 20
"""Bytes of a request."""
TAKEN = b"taken"
"""The answer to a request."""


def wait_for_job(descriptor: int) -> list[str]:
    """Wait for the job of this worker, and return the arguments that a new worker would have.

    Args:
        descriptor: Of the socket.
    """
    connection = socket.socket(fileno=descriptor)
    if not select.select([connection], [], [], IDLE_S)[0]:
        sys.exit()
    request, descriptors, _, _ = socket.recv_fds(connection, MAX_REQUEST, 3)
    if not request:  # the server has ended
        sys.exit()
    connection.send(TAKEN)
    connection.close()
    log, alive, *standby = descriptors
    for standard in (1, 2):
        os.dup2(log, standard)
    os.close(log)
    folder, queue, roots, *command = json.loads(request)
    name_process(Path(folder).name)
    return [folder, str(alive), queue, roots, str(standby[0] if standby else -1), *command]
