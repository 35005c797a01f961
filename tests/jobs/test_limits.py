"""Limits that processes of the background set themselves, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from analysis.jobs.limits import MEMORY_MARK, QUIET_MARK
from tests import ROOT


def _run(code: str, hours: float = 1.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            f"from analysis.files.confinement import *\nfrom analysis.jobs.limits import *\n{code}",
        ],
        cwd=ROOT,
        env={**os.environ, "DASHBOARD_JOB_QUIET_HOURS": str(hours)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_does_not_move_on_is_ended_although_it_holds_the_lock_of_the_interpreter() -> None:
    done = _run("end_when_quiet()\nimport re\nre.match('(x+x+)+y', 'x' * 99)", 0.3 / 3600)
    assert done.returncode == 1
    assert done.stderr.startswith(QUIET_MARK)


def test_what_moves_on_or_waits_is_not_ended() -> None:
    code = "import time\nfor _ in range(4):\n    end_when_quiet()\n    time.sleep(1)\n"
    done = _run(f"{code}wait_quietly()\ntime.sleep(3)", 3 / 3600)
    assert (done.returncode, done.stderr) == (0, "")


def test_memory_beyond_the_limit_is_an_error_of_the_process_alone() -> None:
    for limit in ("limit_address_space(2**28)", "limit_data()"):
        done = _run(f"{limit}\nbytes(2**50)")
        assert "MemoryError" in done.stderr


def test_processor_time_ends_and_can_be_given_anew() -> None:
    assert _run("limit_processor_time(1)\nwhile True: pass").returncode == -24  # SIGXCPU
    spin = "import time\nend = time.process_time() + 1.5\nwhile time.process_time() < end: pass\n"
    assert _run(f"limit_processor_time(3)\n{spin}limit_processor_time(3)\n{spin}").returncode == 0


def test_what_holds_too_much_memory_is_killed_and_its_log_says_so() -> None:
    code = "import os\nos.environ[MEMORY_ENV] = '0.3'\nwatch_memory()\nimport time\n"
    done = _run(f"{code}held = bytearray(b'x' * 600_000_000)\ntime.sleep(600)")
    assert done.returncode == -9
    assert f"{MEMORY_MARK}0.3 GB" in done.stderr
    assert _run(f"{code}time.sleep(2)\nprint('ended')").stdout == "ended\n"


def test_address_space_that_is_only_reserved_does_not_count() -> None:
    # As the driver of a GPU reserves hundreds of gigabytes that it never touches.
    code = "import os\nos.environ[MEMORY_ENV] = '0.3'\nwatch_memory()\nimport mmap, time\n"
    reserve = "held = mmap.mmap(-1, 2**33, flags=mmap.MAP_PRIVATE | 0x4000)\ntime.sleep(2)\n"
    assert _run(f"{code}{reserve}print('ended')").stdout == "ended\n"
