"""A signal reaches the process that was identified, and no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from analysis.files.processes import identify, send_signal

NAME = "a-name-of-its-own"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    code = "import sys; print(flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()  # its command line is its own by now
    yield process
    process.kill()
    process.communicate()


def test_the_process_that_was_identified_gets_the_signal(child: subprocess.Popen[bytes]) -> None:
    assert send_signal(identify(child.pid), signal.SIGTERM, named=NAME)
    assert child.wait() == -signal.SIGTERM


def test_a_process_of_another_name_is_left_alone(child: subprocess.Popen[bytes]) -> None:
    assert not send_signal(identify(child.pid), signal.SIGTERM, named="another name")
    assert child.poll() is None


def test_a_process_that_started_at_another_time_is_left_alone(
    child: subprocess.Popen[bytes],
) -> None:
    start = identify(child.pid)["start"]
    assert start is not None
    assert not send_signal({"pid": child.pid, "start": start - 1}, signal.SIGTERM, named=NAME)
    assert child.poll() is None


def test_a_process_that_has_ended_is_not_there(child: subprocess.Popen[bytes]) -> None:
    known = identify(child.pid)
    child.kill()
    child.wait()
    assert not send_signal(known, 0, named=NAME)


@pytest.mark.parametrize("pid", [None, True, -1, 0, 1, "7", 2**70, 1.5])
def test_an_id_that_no_process_has_is_not_there(pid: object) -> None:
    assert not send_signal({"pid": pid, "start": None}, 0, named="")
    assert os.getpid() > 1
