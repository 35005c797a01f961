"""Keep a process that has imported what an extraction imports, for the next job.

Importing torch and the collector takes seconds of every extraction. The server starts one standby
process (`analysis.cli.standby`) when its form is shown, and hands it to the worker of the next job:
a pair of sockets joins the two. The process carries out one extraction and ends with it. It also
ends when the server does, or after half an hour without a job. It opens no GPU.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

from analysis.files.processes import PACKAGE_ROOT, identify, send_signal
from analysis.files.roots import ROOTS_ENV
from analysis.jobs.background import background_environment
from analysis.jobs.extractions.devices import list_devices

COMMAND = (sys.executable, "-m", "analysis")
"""The one command that a standby process can carry out."""

ANSWER_S = 60.0
"""How long a request may wait for a process that is still importing."""
STDOUT = 1
STANDBY_ENV = "DASHBOARD_STANDBY"
CAN_STAND_BY = sys.platform == "linux"
"""Elsewhere a process cannot be given the name of its job, by which others find it."""

EXIT_UNKNOWN = 1001
"""No exit code of a process: it ended without telling one."""

_guard = threading.Lock()
_waiting: tuple[subprocess.Popen[bytes], socket.socket] | None = None
_working: subprocess.Popen[bytes] | None = None
_starter: threading.Thread | None = None


def prepare_standby() -> None:
    """Start a standby process, unless one waits or the last one still works. Returns at once."""
    global _starter, _waiting
    if not CAN_STAND_BY or os.environ.get(STANDBY_ENV) == "0":
        return
    with _guard:
        if _waiting is not None and _waiting[0].poll() is not None:  # nobody needed it for long
            _waiting[1].close()
            _waiting = None
        if _waiting is None and (_starter is None or not _starter.is_alive()):
            _starter = threading.Thread(target=_start, name="standby", daemon=True)
            _starter.start()


def _start() -> None:
    global _waiting
    list_devices()  # imports torch too, and the first page waits for neither
    with _guard:
        if _working is not None and _working.poll() is None:
            return
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [*COMMAND, "standby", str(theirs.fileno())],
            cwd=PACKAGE_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[theirs.fileno()],
            env=background_environment(),
        )
    with _guard:
        _waiting = process, mine


def take_standby(command: Sequence[str]) -> socket.socket | None:
    """Return the socket to the standby process, for one worker; None where none can be used.

    Args:
        command: What the worker is to run; only `COMMAND` can be carried out by a standby process.
    """
    global _waiting, _working
    with _guard:
        if tuple(command) != COMMAND or _waiting is None:
            return None
        process, mine = _waiting
        _waiting = None
        if process.poll() is not None:
            mine.close()
            return None
        _working = process
        return mine


class Standby:
    """A standby process as the worker of a job sees it; used like a `subprocess.Popen`."""

    def __init__(
        self, descriptor: int, job: str, arguments: Sequence[str], locks: Sequence[int]
    ) -> None:
        """Ask the process for an extraction, and wait until it has taken the request.

        Args:
            descriptor: Of the socket to the process, see `take_standby`.
            job: Id of the job; the process takes it as its name.
            arguments: Of the command.
            locks: Descriptors that the process holds until its end. What it prints goes where the
                standard output of this process goes.

        Raises:
            OSError: If the process has ended, or does not answer within a minute.
        """
        self._socket, self._job = socket.socket(fileno=descriptor), job
        request = {
            "arguments": list(arguments),
            "job": job,
            "roots": os.environ.get(ROOTS_ENV),
        }
        try:
            self._socket.settimeout(ANSWER_S)
            socket.send_fds(self._socket, [json.dumps(request).encode()], [STDOUT, *locks])
            answer = self._socket.recv(16)
            if not answer:
                raise ConnectionResetError("the standby process has ended")
        except OSError:
            # a request that is still on its way is not carried out without this end
            self._socket.close()
            raise
        self.pid = int(answer)
        self._identity = identify(self.pid)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code of the extraction; None while it runs."""
        if self.returncode is None and select.select([self._socket], [], [], 0)[0]:
            answer = b""
            with contextlib.suppress(OSError):
                answer = self._socket.recv(16)
            self.returncode = int(answer) if answer else EXIT_UNKNOWN
        return self.returncode

    def terminate(self) -> None:
        """Ask the process to stop."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        self._signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end of the process.

        Raises:
            subprocess.TimeoutExpired: If it has not ended after `timeout` seconds.
        """
        if self.poll() is None and not select.select([self._socket], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(COMMAND, timeout or 0.0)
        self.poll()

    def _signal(self, number: int) -> None:
        if self.poll() is None:
            send_signal(self._identity, number, named=self._job)
