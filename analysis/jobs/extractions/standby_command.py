"""The process of `standby` as the worker of a job sees it: used like a `subprocess.Popen`."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Sequence

from analysis.files.processes import identify, send_signal
from analysis.files.roots import ROOTS_ENV

ANSWER_S = 60.0
"""How long a request may wait for a process that is still importing."""
STDOUT = 1

EXIT_UNKNOWN = 1001
"""No exit code of a process: it ended without telling one."""


class StandbyCommand:
    """An extraction that a standby process carries out."""

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
            raise subprocess.TimeoutExpired(self._job, timeout or 0.0)
        self.poll()

    def _signal(self, number: int) -> None:
        if self.poll() is None:
            send_signal(self._identity, number, named=self._job)
