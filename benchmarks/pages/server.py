"""A dashboard of its own in a project dir, as `streamlit run` starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    """One running dashboard."""

    address: str
    """Host and port."""
    pid: int
    started: float
    """`time.perf_counter()` when the command was given."""

    def cpu_seconds(self) -> float:
        """Return the processor time that the process has taken, threads that ended included."""
        # The kernel's number of another process's clock: ~pid << 3 | 2 (see clock_getcpuclockid).
        return time.clock_gettime(-8 * self.pid - 6)


@contextmanager
def serve(project: Path, cache: Path) -> Iterator[Server]:
    """Start a dashboard in a project dir and wait until it answers; it ends with the context.

    Raises:
        RuntimeError: If it does not answer within a minute.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.perf_counter()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py")),
            *(f"--server.port={port}", "--server.address=127.0.0.1", "--server.headless=true"),
            *("--browser.gatherUsageStats=false", "--server.fileWatcherType=none"),
        ],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "DASHBOARD_CACHE": str(cache), "DASHBOARD_QUEUE": str(cache / "queue")},
    )
    try:
        server = Server(f"127.0.0.1:{port}", process.pid, started)
        _wait(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    while time.perf_counter() - server.started < 60 and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{server.address}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("streamlit did not start; try `streamlit run app.py` by hand")
