"""Start a module of this package as a process that outlives the server, and read its log."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from analysis.collect.plan.launcher import RENDEZVOUS
from analysis.errors import to_printable
from analysis.files.own_state import open_regular
from analysis.files.processes import PACKAGE_ROOT
from analysis.files.writing import open_log

QUEUE_ENV = "DASHBOARD_QUEUE"
"""The folder of the device queues, instead of one in the temporary folder."""

_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "TQDM_MININTERVAL": "60"}
"""Of a process whose output is no terminal: a line of the progress bar a minute is enough."""

LOG_END = 2**16
"""Bytes of a log that are looked at."""

_LAUNCHER = (*RENDEZVOUS, "TORCHELASTIC_RUN_ID")
"""Names that a server in a pod of a training job inherits; its jobs are no rank of that."""


def queues_folder() -> Path:
    """Return the folder of this machine's device queues; it need not exist."""
    chosen = os.environ.get(QUEUE_ENV)
    return Path(chosen) if chosen else Path(tempfile.gettempdir()) / f"dinov3-jobs-{os.getuid()}"


def background_environment() -> dict[str, str]:
    """Return the environment of a process that a server starts."""
    own = {name: value for name, value in os.environ.items() if name not in _LAUNCHER}
    return own | _ENVIRONMENT


def start_background(
    module: str,
    folder: Path,
    lock: int,
    log: Path,
    arguments: Sequence[str] = (),
    descriptors: Sequence[int] = (),
    *,
    confined: bool = False,
) -> subprocess.Popen[bytes]:
    """Run ``python -m <module> <folder> <lock> <arguments>`` in a session of its own.

    Args:
        module: Takes a folder and the descriptor of a lock that is locked already, so that there
            is no moment at which a started process looks dead. The lock is held until the process
            ends, whatever ends it.
        folder: What the process works on.
        lock: The descriptor; the caller closes its own copy.
        log: File that gets all that the process prints.
        arguments: What the process must not take from a file in `folder`.
        descriptors: Further ones that the process inherits; the caller closes its own copies.
        confined: Whether the process gives the network up before it begins.

    Raises:
        OSError: If the log cannot be written or the process cannot be started.
    """
    confinement = ["analysis.files.confinement"] if confined else []
    with open_log(log) as file:
        return subprocess.Popen(
            [sys.executable, "-m", *confinement, module, str(folder), str(lock), *arguments],
            cwd=PACKAGE_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock, *descriptors],
            env=background_environment(),
        )


def start_waiting(command: Sequence[str]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a process that waits for a request at a socket, and return it with the other end.

    It sees that this process has ended, or has closed its end.

    Args:
        command: Of the process; the descriptor of its socket follows as the last argument.
    """
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [*command, str(theirs.fileno())],
            cwd=PACKAGE_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[theirs.fileno()],
            env=background_environment(),
        )
    return process, mine


def read_last_lines(log: Path, lines: int) -> str:
    """Return the last lines of a log (of at most its last 64 KiB); empty without one.

    Control characters are escaped: a process and its libraries print what files hold.
    """
    try:
        with os.fdopen(open_regular(log), "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - LOG_END))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    # a terminal's progress bar rewrites its line with carriage returns
    rows = [row.rsplit("\r", 1)[-1].rstrip() for row in text.replace("\r\n", "\n").split("\n")]
    shown = (to_printable(row.expandtabs()) for row in rows if row)
    return "\n".join([*shown][-lines:])
