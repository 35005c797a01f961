"""Pages of other sites reach no session of a server on this machine."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import CHROMIUM, FLAGS, Dashboard

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
SWITCHING, FORBIDDEN = 101, 403


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://localhost:{port}", "localhost:{port}", SWITCHING),
        ("http://127.0.0.1:{port}", "127.0.0.1:{port}", SWITCHING),
        ("http://other.example", "localhost:{port}", FORBIDDEN),
        ("http://other.example:{port}", "other.example:{port}", FORBIDDEN),
        ("http://localhost:{port}", "other.example:{port}", FORBIDDEN),
        ("null", "localhost:{port}", FORBIDDEN),
    ],
)
def test_a_session_is_opened_for_names_of_this_machine_only(
    dashboard: Dashboard, origin: str, host: str, status: int
) -> None:
    port = urlsplit(dashboard.url).port
    headers = {"Origin": origin.format(port=port), "Host": host.format(port=port)}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/_stcore/stream", headers=HANDSHAKE | headers)
    assert connection.getresponse().status == status
    connection.close()


def test_a_site_that_points_its_name_at_this_machine_sees_no_payload(
    chromium: Browser, dashboard: Dashboard
) -> None:
    rule = "--host-resolver-rules=MAP rebound.example 127.0.0.1"
    browser = chromium.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS, rule])
    page = browser.new_page()
    received: list[object] = []
    page.on("websocket", lambda socket: socket.on("framereceived", received.append))
    with page.expect_event("console", lambda said: "403" in said.text, timeout=120_000):
        page.goto(f"http://rebound.example:{urlsplit(dashboard.url).port}/")
    assert page.locator("h1").count() == 0
    assert not received
    browser.close()
