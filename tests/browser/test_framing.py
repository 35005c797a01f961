"""What a page of another site can show of the dashboard in a frame, and how a proxy refuses it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.browser.conftest import Dashboard

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RULE = ("Content-Security-Policy", "frame-ancestors 'self'")


@contextmanager
def _serve(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def _send(handler: BaseHTTPRequestHandler, body: bytes, *headers: tuple[str, str]) -> None:
    handler.send_response(200)
    for header in (*headers, ("Content-Length", str(len(body)))):
        handler.send_header(*header)
    handler.end_headers()
    handler.wfile.write(body)


def _forward(port: int) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return what a proxy does that adds the rule of docs/serving.md; it passes no upgrade on."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", handler.path)
        got = connection.getresponse()
        kind = ("Content-Type", got.headers.get("Content-Type", "text/plain"))
        _send(handler, got.read(), kind, RULE)
        connection.close()

    return answer


def _frame(chromium: Browser, address: str) -> tuple[str, list[str]]:
    """Return where a frame of another site ended, and what the browser wrote of it."""
    page_text = f'<iframe src="{address}"></iframe>'.encode()
    with _serve(lambda handler: _send(handler, page_text, ("Content-Type", "text/html"))) as port:
        page = chromium.new_page()
        written: list[str] = []
        page.on("console", lambda message: written.append(message.text))
        page.goto(f"http://127.0.0.1:{port}/", timeout=120_000)
        url = page.frames[1].url
        page.close()
    return url, written


def test_another_site_can_frame_a_page_unless_a_proxy_adds_the_rule(
    chromium: Browser, dashboard: Dashboard
) -> None:
    port = urlsplit(dashboard.url).port
    assert port is not None
    open_address = f"http://localhost:{port}/"
    url, written = _frame(chromium, open_address)
    assert url == open_address
    assert not any("frame-ancestors" in text for text in written)
    with _serve(_forward(port)) as proxy:
        url, written = _frame(chromium, f"http://localhost:{proxy}/")
        assert url.startswith("chrome-error://")
        assert any("frame-ancestors" in text for text in written)
        page = chromium.new_page()
        answer = page.goto(f"http://localhost:{proxy}/", timeout=120_000)
        assert answer is not None
        assert answer.ok  # whoever opens it by itself gets it
        page.close()
