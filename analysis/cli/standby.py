"""Import what an extraction imports, wait for a request, carry it out and end.

``python -m analysis standby SOCKET`` is for the dashboard, which keeps one such process so that a
job need not wait for the imports. The socket is one of a pair; its other end belongs to the server,
then to the worker of one job (`analysis.jobs.extractions.standby`).

The server may say before what somebody is about to start: then the process opens the GPU and loads
the kernels of that run. Where no request follows, it lets go of the GPU by starting itself again.
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
from typing import Any, NoReturn, Protocol

from analysis.collect.plan.flags import parse_arguments
from analysis.collect.plan.request import plan_extraction
from analysis.collect.run.early import EarlyStart, import_all, start_driver
from analysis.errors import InputError
from analysis.files.processes import name_process
from analysis.files.roots import ROOTS_ENV

IDLE_S = 1800.0
"""How long it waits for a request before it ends."""
PREPARED_S = 120.0
"""How long it holds a GPU for what was announced last."""
MAX_REQUEST = 1 << 20
"""Bytes of a request."""
MAX_DESCRIPTORS = 16


class Extract(Protocol):
    """Take arguments, the moment of the request and what was begun; return an exit code."""

    def __call__(  # noqa: D102
        self, arguments: Sequence[str], *, began: float, early: EarlyStart | None
    ) -> int: ...


def stand_by(descriptor: int, extract: Extract) -> NoReturn:
    """Carry out at most one request of the form {"arguments", "job", "roots"}.

    One without a job only announces the arguments of the next. The descriptors that come with a
    job are the output to print to, and locks to hold. The process id is the first answer, the exit
    code the second.

    Args:
        descriptor: Of the socket.
        extract: The command.
    """
    with contextlib.suppress(ImportError):  # the extraction itself says what is missing
        import_all()
        import analysis.read.summary  # noqa: F401
    start_driver()
    connection = socket.socket(fileno=descriptor)
    asked, descriptors = _receive(connection, IDLE_S) or _end()
    early: EarlyStart | None = None
    while "job" not in asked:
        if not select.select([connection], [], [], 0)[0]:  # nothing newer
            early = _prepare(asked["arguments"], early)
        asked, descriptors = _receive(connection, PREPARED_S) or _start_again(descriptor, early)
    output = descriptors[0]
    for standard in (1, 2):
        os.dup2(output, standard)
    if asked["roots"] is not None:
        os.environ[ROOTS_ENV] = asked["roots"]
    name_process(asked["job"])
    connection.send(str(os.getpid()).encode())
    code = 1
    try:
        code = extract(asked["arguments"], began=time.time(), early=early)
    except SystemExit as end:  # the parser of arguments has said what is wrong
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        with contextlib.suppress(OSError):  # the worker may be gone
            connection.send(str(code).encode())
        os._exit(code)  # as the command itself ends


def _receive(connection: socket.socket, seconds: float) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next request and its descriptors; None if none comes in time."""
    if not select.select([connection], [], [], seconds)[0]:
        return None
    request, descriptors, _, _ = socket.recv_fds(connection, MAX_REQUEST, MAX_DESCRIPTORS)
    if not request:  # the server has ended
        _end()
    return json.loads(request), descriptors


def _prepare(arguments: Sequence[str], before: EarlyStart | None) -> EarlyStart | None:
    """Get ready for a run; None where that cannot be: the run itself will say what is wrong."""
    from analysis.collect.run.prepare import prepare_ahead

    early: EarlyStart | None = None
    with contextlib.suppress(InputError, OSError):
        plan = plan_extraction(parse_arguments(arguments))
        if before is not None and before.serves(plan):
            return before
        early = EarlyStart(plan)
        prepare_ahead(plan)
    if before is not None:
        before.close()
    return early


def _start_again(descriptor: int, early: EarlyStart | None) -> NoReturn:
    if early is not None:
        early.close()
    os.execv(sys.executable, [sys.executable, "-m", "analysis", "standby", str(descriptor)])


def _end() -> NoReturn:
    os._exit(0)
