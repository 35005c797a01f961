"""What a process has taken from itself it does not get back; the real process throughout."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests import ROOT

NATIVE = textwrap.dedent(
    """
    import ctypes, os, struct, sys
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.socket(2, 1, 0)
    address = struct.pack("=H", 2) + int(PORT).to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
    failed = descriptor < 0 or libc.connect(descriptor, address, len(address)) != 0
    print("refused" if failed else "connected")
    """
)
PYTHON = textwrap.dedent(
    """
    import socket
    try:
        socket.create_connection(("127.0.0.1", int(PORT)), timeout=10)
        print("connected")
    except OSError:
        print("refused")
    """
)


def _run(tmp_path: Path, code: str, *, confined: bool) -> str:
    """Let a process connect to this one, and return what it says."""
    (tmp_path / "tries.py").write_text(f"import sys\nPORT = sys.argv[1]\n{code}")
    launch = ["-m", "analysis.files.confinement"] if confined else ["-m"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = subprocess.run(
            [sys.executable, *launch, "tries", str(server.getsockname()[1])],
            cwd=ROOT,
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
    return done.stdout.strip()


def test_python_s_own_sockets_are_refused_wherever_it_runs(tmp_path: Path) -> None:
    assert _run(tmp_path, PYTHON, confined=False) == "connected"
    assert _run(tmp_path, PYTHON, confined=True) == "refused"


def test_no_library_reaches_even_this_machine_where_the_kernel_takes_the_network(
    tmp_path: Path,
) -> None:
    code = "from analysis.files.confinement import leave_network\nprint(leave_network())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    if done.stdout.strip() != "True":
        pytest.skip("the kernel gives this user no network of its own")
    assert _run(tmp_path, NATIVE, confined=False) == "connected"
    assert _run(tmp_path, NATIVE, confined=True) == "refused"


def test_a_process_without_network_is_the_same_user_and_reads_its_files(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("mine")
    code = f"import os\nprint(os.getuid(), open({str(tmp_path / 'own')!r}).read(), PORT != '')"
    assert _run(tmp_path, code, confined=True) == _run(tmp_path, code, confined=False)
