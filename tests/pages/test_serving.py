"""What a server prepares before its first page, and while people look at it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis.jobs.extractions import devices, ready_worker, standby
from pages.components.shared import serving
from tests import ROOT
from tests.factories.payloads import make_payload, write_payload
from tests.pages.conftest import payload_path

can_stand_by = pytest.mark.skipif(not standby.CAN_STAND_BY, reason="no name of a process here")


@pytest.fixture
def nothing_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without a process that stands by, and let one be started."""
    monkeypatch.setenv(standby.STANDBY_ENV, "1")
    monkeypatch.setattr(devices, "_found", (devices.Device("cpu", "CPU"),))
    for name in ("_waiting", "_working", "_starter"):
        monkeypatch.setattr(standby, name, None)
    monkeypatch.setattr(ready_worker, "_waiting", None)
    monkeypatch.setattr(serving, "AHEAD_SECONDS", 0)
    monkeypatch.setattr(serving, "start_reader", lambda: None)  # it would read for other tests


def test_the_first_page_of_a_server_waits_for_no_import_of_what_it_is_made_of(
    project: Path,
) -> None:
    write_payload(payload_path(project, "a"), make_payload())
    script = f"""
import sys
from pages.components.shared import serving
serving._import_pages()
before = set(sys.modules)
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(ROOT / "app.py")!r}, default_timeout=60)
assert app.switch_page("pages/overview.py").run().main.children
parts = ("pages", "plotly", "pandas")
print(*(name for name in sys.modules if name not in before and name.split(".")[0] in parts))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_ended_leaves_no_folder(
    tmp_path: Path, project: Path, number: signal.Signals
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py")),
            *("--server.headless=true", "--server.port=0"),
        ],
        cwd=project,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
    )
    while not list(temporary.iterdir()):
        assert server.poll() is None
        time.sleep(0.05)
    server.send_signal(number)
    server.wait(timeout=60)
    assert [path.name for path in temporary.iterdir()] == []


@can_stand_by
@pytest.mark.usefixtures("nothing_prepared")
def test_a_server_that_is_up_has_a_process_ready_for_the_first_extraction() -> None:
    serving._prepare()
    assert standby._starter is not None
    standby._starter.join()
    ready = standby._waiting, ready_worker._waiting
    for process, connection in filter(None, ready):
        assert process.poll() is None
        connection.close()
        process.kill()
        process.wait()
    assert None not in ready


@can_stand_by
@pytest.mark.usefixtures("nothing_prepared")
def test_a_server_that_starts_no_extraction_keeps_no_process_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    serving._prepare()
    assert standby._starter is None
