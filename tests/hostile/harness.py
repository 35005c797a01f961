"""Give files to readers in child processes, and judge what came of it from outside."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.errors import to_printable
from tests import ROOT
from tests.hostile.corpus import REFUSED, Case
from tests.hostile.reference import HUNG_TIMES, MIN_SECONDS

MAX_BYTES = 500_000_000
"""Resident, beyond those of a process that has imported torch and the readers."""

IDLE_SECONDS = 5.0
"""Sleeping that long without any processor time, a reader waits for what never comes."""

MAX_WAIT = 300.0
"""Seconds on the clock, however busy the machine is."""

START_WAIT = 300.0
"""Seconds on the clock in which a child process imports torch and reads the reference."""


@dataclass(frozen=True)
class Outcome:
    """What became of one case."""

    case: Case
    kind: str
    """opened, refused, escaped (another error), hung or died."""
    text: str = ""
    seconds: float = 0.0
    """Of processor time."""
    allowed: float = MIN_SECONDS
    """Seconds, by the reference reading of the same process."""
    bytes: int = 0

    @property
    def fault(self) -> str | None:
        """What is wrong with it, None if nothing is."""
        if self.kind in ("escaped", "hung", "died"):
            return f"{self.kind} {self.text}"
        if self.seconds > self.allowed:
            return f"took {self.seconds:.1f} s where {self.allowed:.1f} s are allowed"
        if self.bytes > MAX_BYTES:
            return f"took {self.bytes / 1e6:.0f} MB"
        if self.kind == "opened":
            return f"opened: {self.text}" if self.case.expected == REFUSED else None
        if not self.text.isprintable():
            return f"more than one line of text: {self.text!r}"
        # Long paths are shortened in the middle of a message.
        return None if self._names_path() else f"does not name the file: {self.text}"

    def _names_path(self) -> bool:
        names = [str(self.case.path)]
        with suppress(OSError, ValueError, RuntimeError):  # links in a circle, names too long
            names.append(str(self.case.path.resolve()))
        return any(to_printable(name)[:1000] in self.text for name in names)


def run_cases(cases: Iterable[Case], *, idle: float = IDLE_SECONDS) -> list[Outcome]:
    """Run the cases in order; the child that one of them kills is replaced."""
    outcomes: list[Outcome] = []
    child: _Child | None = None
    for case in cases:
        child = child or _Child()
        answer = child.ask(case, idle)
        if answer is None:
            outcomes.append(Outcome(case, *child.bury()))
            child = None
        else:
            outcomes.append(Outcome(case, **answer))
    if child:
        child.bury()
    return outcomes


class _Child:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.child"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"DASHBOARD_CACHE": "/nonexistent", "PYTHONUTF8": "1"},
        )
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        line = self._answers.get(timeout=START_WAIT)
        if not line:
            raise RuntimeError("the child process did not start")
        self._hung = HUNG_TIMES * json.loads(line)["allowed"]

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def ask(self, case: Case, idle: float) -> dict[str, Any] | None:
        """Return the answer; None if the process died, works too long, or sleeps for ever."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps([case.reader, str(case.path)]) + "\n")
        self._process.stdin.flush()
        began = moved = time.monotonic()
        first = used = self._processor_time()
        while time.monotonic() < began + MAX_WAIT:
            with suppress(queue.Empty):
                line = self._answers.get(timeout=0.2)
                return json.loads(line) if line else None
            before, used = used, self._processor_time()
            if used > before or not self._sleeps():
                moved = time.monotonic()
            if used - first > self._hung or time.monotonic() - moved > idle:
                break
        return None

    def _processor_time(self) -> float:
        user, system = self._state()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _sleeps(self) -> bool:
        return self._state()[0] == "S"

    def _state(self) -> list[str]:
        """Return the fields of /proc/<pid>/stat behind the name of the program."""
        text = Path(f"/proc/{self._process.pid}/stat").read_text()
        return text.rpartition(")")[2].split()

    def bury(self) -> tuple[str, str]:
        """End the process and tell whether it hung or had died, and of what."""
        assert self._process.stdin
        try:
            self._process.stdin.close()
            code = self._process.wait(timeout=0.5)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            self._process.wait()
            return "hung", ""
        return "died", signal.Signals(-code).name if code < 0 else f"with exit code {code}"
