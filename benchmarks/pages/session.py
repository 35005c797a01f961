"""A visitor without a browser: speaks with the server as the page in a browser does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

from benchmarks.pages.server import Server


@dataclass
class Session:
    """One session on one page."""

    server: Server
    connection: ClientConnection
    page: str
    query: str
    script_hash: str = ""
    layer_slider: str | None = None
    """Id of the slider of layers, once the page has shown one."""
    layers: list[str] = field(default_factory=list)

    def rerun(self, layer: str | None = None) -> tuple[float, float, int]:
        """Run the page once more; return wall seconds, the server's processor seconds, bytes.

        Args:
            layer: Move the slider of layers here first.

        Raises:
            RuntimeError: If the page shows an error.
        """
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_script_hash = self.query, self.script_hash
        if not self.script_hash:
            state.page_name = self.page
        if layer is not None and self.layer_slider is not None:
            widget = state.widget_states.widgets.add(id=self.layer_slider)
            widget.string_array_value.data.append(layer)
        cpu, wall = self.server.cpu_seconds(), time.perf_counter()
        self.connection.send(message.SerializeToString())
        received = self._receive()
        return (
            time.perf_counter() - wall,
            self.server.cpu_seconds() - cpu,
            received,
        )

    def _receive(self) -> int:
        """Read what a run sends, to its end; return its size in bytes."""
        received = 0
        while True:
            data = self.connection.recv(timeout=120)
            assert isinstance(data, bytes)
            received += len(data)
            message = ForwardMsg.FromString(data)
            kind = message.WhichOneof("type")
            if kind == "navigation":
                self.script_hash = message.navigation.page_script_hash
            elif kind == "delta":
                self._read_element(message)
            elif kind == "script_finished" and message.script_finished in (
                ForwardMsg.FINISHED_SUCCESSFULLY,
                ForwardMsg.FINISHED_WITH_COMPILE_ERROR,
            ):
                return received

    def _read_element(self, message: ForwardMsg) -> None:
        element = message.delta.new_element
        if element.WhichOneof("type") == "exception":
            raise RuntimeError(f"page {self.page}: {element.exception.message}")
        if element.WhichOneof("type") == "slider" and element.slider.label == "Layer":
            self.layer_slider = element.slider.id
            self.layers = list(element.slider.options)


@contextmanager
def open_session(server: Server, page: str, **query: str) -> Iterator[Session]:
    """Open a page in a session of its own, and wait until it has been drawn once."""
    address = f"ws://{server.address}/_stcore/stream"
    with connect(address, max_size=None, subprotocols=["streamlit"]) as connection:  # type: ignore[list-item]
        session = Session(server, connection, page, urlencode(query))
        session.rerun()
        yield session
