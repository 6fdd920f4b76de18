"""A real HTTP server on loopback that serves a folder well, or fails in the ways that servers do.

The first part of a request's path names the behaviour: ``http://127.0.0.1:PORT/short/FILE``.
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FaultyServer(ThreadingHTTPServer):
    """Serves ``folder``; ``requests`` lists the paths asked for."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.requests: list[str] = []
        self.closing = threading.Event()

    def address(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{behaviour}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of connections that the client gave up."""


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        _, behaviour, name = self.path.split("/", 2)
        if behaviour.isdecimal():
            self.send_error(int(behaviour))
            return
        body = (self.server.folder / name).read_bytes()
        getattr(self, f"_{behaviour}")(body)

    def _start(self, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _good(self, body: bytes) -> None:
        self._start(len(body))
        self.wfile.write(body)

    def _sizeless(self, body: bytes) -> None:
        self._start(None)
        self.wfile.write(body)

    def _short(self, body: bytes) -> None:
        self._start(len(body))
        self.wfile.write(body[: len(body) // 2])

    def _wrong(self, body: bytes) -> None:
        self._good(body[:-1] + bytes([body[-1] ^ 1]))

    def _long(self, body: bytes) -> None:
        self._good(body + b"more")

    def _page(self, body: bytes) -> None:  # noqa: ARG002  a captive portal answers everything so
        self._good(b"<html>Please log in</html>")

    def _reset(self, body: bytes) -> None:
        self._start(len(body))
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        # closing with linger 0 sends a reset in place of an orderly end
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _stall(self, body: bytes) -> None:
        self._start(len(body))
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        self.server.closing.wait(30)

    def _drip(self, body: bytes) -> None:
        self._start(len(body))
        with contextlib.suppress(OSError):
            for byte in body:
                if self.server.closing.is_set():
                    break
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.05)


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[FaultyServer]:
    server = FaultyServer(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port() -> int:
    """Returns a port of loopback where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
