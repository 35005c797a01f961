"""The Triton kernels give the results of the plain torch engine, shown without a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).with_name("kernels_in_interpreter.py")


def test_kernels_pass_their_suite_in_tritons_interpreter() -> None:
    pytest.importorskip("triton", reason="Triton is not installed (it exists for Linux only)")
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(SUITE)]
    done = subprocess.run(
        command, env=environment, cwd=SUITE.parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
