"""The process that reads for a server: started with it, limited by the system, started again.

The limits: address space and processor time (`worker`, by `setrlimit`), and here a wall clock. A
reader that dies or runs out of time costs the one request; the next one finds a new reader.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import Any

from analysis import errors
from analysis.errors import InputError, PayloadError
from analysis.files.cache_folder import CACHE_ENV, cache_folder
from analysis.files.frames import FrameError, receive, send
from analysis.files.processes import PACKAGE_ROOT
from analysis.language import _, current

WALL_S = 180.0
"""Of one reading. The largest backbone's payload takes some seconds; network disks are slow."""

CPU_S = 60
"""Processor time of one reading."""

MEMORY_BYTES = 3 * 2**30
"""Address space beyond what the reader takes before it reads; a payload unpacks to 512 MB."""

_CONFINED = ("-m", "analysis.files.confinement")
WORKER = (*_CONFINED, "analysis.jobs.reader.worker")
"""Reads payloads and pictures; imports torch."""
SMALL_WORKER = (*_CONFINED, "analysis.files.isolated_worker")
"""Reads what `analysis.files.isolated` registers: nobody waits for it behind a large payload."""


class Reader:
    """One process that answers one call after the other, whoever asks."""

    def __init__(
        self,
        *,
        wall_s: float = WALL_S,
        cpu_s: int = CPU_S,
        memory_bytes: int = MEMORY_BYTES,
        worker: Sequence[str] = WORKER,
    ) -> None:
        self.scratch = tempfile.TemporaryDirectory(prefix="dinov3-reader-")
        """Takes the arrays where the user's cache folder cannot be written."""
        self._wall_s = wall_s
        limits = (str(cpu_s), str(memory_bytes), self.scratch.name)
        self._command = [sys.executable, *worker, *limits]
        self._one_at_a_time = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process unless it lives, without waiting for it.

        Raises:
            OSError: If the system has no room for one.
        """
        if self._one_at_a_time.acquire(blocking=False):  # else it lives, and is busy
            try:
                self._ensure()
            finally:
                self._one_at_a_time.release()

    def stop(self) -> None:
        """End the process for good."""
        with self._one_at_a_time:
            if self._process is not None:
                _end(self._process)
        self.scratch.cleanup()

    def call(
        self, name: str, what: str, arguments: dict[str, Any], content: bytes = b""
    ) -> tuple[dict[str, Any], bytes]:
        """Have the process do one of its calls, and return what it answers.

        Args:
            name: As in `worker.CALLS`.
            what: The file, as a sentence may name it.
            arguments: Plain values.
            content: Bytes for the call, such as an uploaded picture.

        Raises:
            InputError: If the process refuses the file, or died or ran out of time over it.
        """
        with self._one_at_a_time:
            try:
                process = self._ensure()
            except OSError as error:
                raise PayloadError(
                    _("{what}: the process that reads files cannot be started ({error}).").format(
                        what=what, error=error
                    )
                ) from error
            assert process.stdin is not None
            assert process.stdout is not None
            timer = threading.Timer(self._wall_s, process.kill)
            timer.daemon = True
            began = time.monotonic()
            timer.start()
            try:
                send(process.stdin, {"call": name, "language": current(), **arguments}, content)
                answer, found = receive(process.stdout)
            except (FrameError, OSError) as error:
                _end(process)
                raise PayloadError(
                    _(
                        "{what}: {reason} It may be damaged, or made to do harm. Other files can "
                        "be read as before."
                    ).format(what=what, reason=self._explain(process, time.monotonic() - began))
                ) from error
            finally:
                timer.cancel()
        if "refused" in answer:
            raise _rebuild(answer)
        return answer, found

    def _ensure(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                self._command,
                cwd=PACKAGE_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the server, with which the reader ends
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    CACHE_ENV: str(cache_folder().absolute()),  # it runs in another folder
                },
            )
        return self._process

    def _explain(self, process: subprocess.Popen[bytes], took: float) -> str:
        if took >= self._wall_s:
            return _("reading it took more than {seconds:g} s and was ended.").format(
                seconds=self._wall_s
            )
        code = process.returncode
        if code == -signal.SIGXCPU:
            return _("reading it took too much processor time and was ended.")
        if code < 0:
            name = signal.Signals(-code).name
            return _("the process that read it ended by {name}.").format(name=name)
        return _("the process that read it ended with exit code {code}.").format(code=code)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, if it lives, and forget its pipes."""
    for stream in (process.stdin, process.stdout):
        try:
            if stream is not None:
                stream.close()
        except OSError:  # what was still to be written
            continue
    try:
        process.wait(timeout=1.0)  # it may be ending by itself, and say why
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _rebuild(answer: dict[str, Any]) -> InputError:
    """Return the error that the process was given; a name that is none of ours becomes one."""
    kind = getattr(errors, str(answer["refused"]), None)
    known = kind if isinstance(kind, type) and issubclass(kind, InputError) else PayloadError
    return known(str(answer.get("message")))
