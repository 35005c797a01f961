"""Import what an extraction imports, wait for a request, carry it out and end.

``python -m analysis standby SOCKET`` is for the dashboard, which keeps one such process so that a
job need not wait for the imports. The socket is one of a pair; its other end belongs to the server,
then to the worker of one job (`analysis.jobs.extractions.standby`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import time
from collections.abc import Sequence
from typing import NoReturn, Protocol

from analysis.collect.run.early import import_all, start_driver
from analysis.files.processes import name_process
from analysis.files.roots import ROOTS_ENV

IDLE_S = 1800.0
"""How long it waits for a request before it ends."""
MAX_REQUEST = 1 << 20
"""Bytes of a request."""
MAX_DESCRIPTORS = 16


class Extract(Protocol):
    """Take command-line arguments and the moment of the request, and return an exit code."""

    def __call__(self, arguments: Sequence[str], *, began: float) -> int: ...  # noqa: D102


def stand_by(descriptor: int, extract: Extract) -> NoReturn:
    """Carry out at most one request of the form {"arguments", "job", "roots"}.

    The descriptors that come with it are the output to print to, and locks to hold. The process id
    is the first answer, the exit code the second.

    Args:
        descriptor: Of the socket.
        extract: The command.
    """
    with contextlib.suppress(ImportError):  # the extraction itself says what is missing
        import_all()
        import analysis.read.summary  # noqa: F401
    start_driver()
    connection = socket.socket(fileno=descriptor)
    if not select.select([connection], [], [], IDLE_S)[0]:
        os._exit(0)
    request, descriptors, _, _ = socket.recv_fds(connection, MAX_REQUEST, MAX_DESCRIPTORS)
    if not request:  # the server has ended
        os._exit(0)
    asked = json.loads(request)
    output = descriptors[0]
    for standard in (1, 2):
        os.dup2(output, standard)
    if asked["roots"] is not None:
        os.environ[ROOTS_ENV] = asked["roots"]
    name_process(asked["job"])
    connection.send(str(os.getpid()).encode())
    code = 1
    try:
        code = extract(asked["arguments"], began=time.time())
    except SystemExit as end:  # the parser of arguments has said what is wrong
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        with contextlib.suppress(OSError):  # the worker may be gone
            connection.send(str(code).encode())
        os._exit(code)  # as the command itself ends
