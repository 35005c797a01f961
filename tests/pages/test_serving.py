"""What a server prepares while people look at their first page."""

from __future__ import annotations

import pytest

from analysis.jobs.extractions import devices, ready_worker, standby
from pages.components.shared import serving

pytestmark = pytest.mark.skipif(not standby.CAN_STAND_BY, reason="no name of a process here")


@pytest.fixture(autouse=True)
def nothing_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without a process that stands by, and let one be started."""
    monkeypatch.setenv(standby.STANDBY_ENV, "1")
    monkeypatch.setattr(devices, "_found", (devices.Device("cpu", "CPU"),))
    for name in ("_waiting", "_working", "_starter"):
        monkeypatch.setattr(standby, name, None)
    monkeypatch.setattr(ready_worker, "_waiting", None)
    monkeypatch.setattr(serving, "AHEAD_SECONDS", 0)
    monkeypatch.setattr(serving, "start_reader", lambda: None)  # it would read for other tests


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


def test_a_server_that_starts_no_extraction_keeps_no_process_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    serving._prepare()
    assert standby._starter is None
