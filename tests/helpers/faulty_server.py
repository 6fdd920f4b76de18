"""An HTTP server on loopback that serves a folder correctly, or fails in the ways servers do.

The first part of a request's path names the behaviour: ``http://127.0.0.1:PORT/short/FILE``.
"""

import contextlib
import gzip
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CERTIFICATE = Path(__file__).with_name("loopback.pem")
"""Certificate that a client must trust, by REQUESTS_CA_BUNDLE, to use the server over TLS."""


class FaultyServer(ThreadingHTTPServer):
    """Serves ``folder``.

    Attributes:
        requests: Paths requested so far.
        redirect_to: Target of the behaviours "redirect" and "chatty", without the file name.
        gate: Event that the behaviour "gated" waits for.
        pace: Seconds that the behaviour "slow" takes for a file.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.requests: list[str] = []
        self.redirect_to = ""
        self.gate = threading.Event()
        self.pace = 0.3
        self.closing = threading.Event()
        self.scheme = "https" if tls else "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def address(self, behaviour: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/{behaviour}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Prints nothing about connections that the client closed."""


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
        body = (self.server.folder / name.rsplit("/")[-1]).read_bytes()
        with contextlib.suppress(OSError):  # the client closed the connection
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

    def _page(self, body: bytes) -> None:  # noqa: ARG002  like a captive portal
        self._good(b"<html>Please log in</html>")

    def _reset(self, body: bytes) -> None:
        self._start(len(body))
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        # closing with linger 0 sends a reset
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _stall(self, body: bytes) -> None:
        self._start(len(body))
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        self.server.closing.wait(30)

    def _drip(self, body: bytes) -> None:
        self._start(len(body))
        self._drop(body)

    def _header_drip(self, body: bytes) -> None:  # noqa: ARG002
        self._drop(b"HTTP/1.1 200 OK\r\nX-Endless: " + b"x" * 50_000)

    def _silent(self, body: bytes) -> None:  # noqa: ARG002
        self.server.closing.wait(900)

    def _endless(self, body: bytes) -> None:
        self._start(None)
        self._repeat(body)

    def _trickle(self, body: bytes) -> None:
        """Sends for ever, just fast enough not to be too slow."""
        self._start(None)
        self._repeat(body[:800], every=0.1)

    def _huge(self, body: bytes) -> None:
        self._start(10**12)
        self._repeat(body)

    def _nonsense(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "9" * 5000)
        self.end_headers()
        self.wfile.write(body)

    def _continue(self, body: bytes) -> None:  # noqa: ARG002
        self._repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 100, every=0.001)

    def _chunks(self, body: bytes) -> None:  # noqa: ARG002
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"0\r\n")
        self._repeat(b"X-Trailer: more\r\n" * 100, every=0.001)  # after the last chunk

    def _encoded(self, body: bytes) -> None:
        """Declares the archive as a compressed page, as some servers do."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def _bomb(self, body: bytes) -> None:
        """Sends gigabytes of zeros, compressed as an archive, and declared so as a page."""
        zeros = gzip.compress(bytes(2**26), mtime=0) * 64  # of 64 MB each
        assert len(zeros) > len(body)
        self._encoded(zeros)

    def _chunk_size(self, body: bytes) -> None:
        """Announces a chunk by a number that never ends."""
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._repeat(b"0" * len(body))

    def _headers(self, body: bytes) -> None:
        """Sends headers without end."""
        self.send_response(200)
        self._repeat(b"X-More: " + b"x" * 1000 + b"\r\n" + body[:0])

    def _slow(self, body: bytes) -> None:
        self._start(len(body))
        step = -(-len(body) // 20)
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            time.sleep(self.server.pace / 20)

    def _gated(self, body: bytes) -> None:
        self._start(len(body))
        self.wfile.write(body[:100])
        self.server.gate.wait(600)
        self.wfile.write(body[100:])

    def _redirect(self, body: bytes) -> None:  # noqa: ARG002
        self._lead_to(f"{self.server.redirect_to}/{self.path.rsplit('/')[-1]}")

    def _loop(self, body: bytes) -> None:  # noqa: ARG002
        self._lead_to(self.path)

    def _spiral(self, body: bytes) -> None:  # noqa: ARG002
        """Redirects to a different address each time."""
        self._lead_to(f"/spiral/on/{self.path.split('/', 2)[2]}")

    def _nowhere(self, body: bytes) -> None:  # noqa: ARG002
        self._lead_to("http://[")

    def _chatty(self, body: bytes) -> None:
        """Redirects, with a body that never ends."""
        self.send_response(302)
        self.send_header("Location", f"{self.server.redirect_to}/{self.path.rsplit('/')[-1]}")
        self.end_headers()
        self._repeat(body)

    def _lead_to(self, address: str) -> None:
        self.send_response(302)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _drop(self, content: bytes) -> None:
        for byte in content:
            if self.server.closing.is_set():
                break
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.05)

    def _repeat(self, content: bytes, every: float = 0) -> None:
        while not self.server.closing.wait(every):
            self.wfile.write(content)


@contextlib.contextmanager
def serve(folder: Path, *, tls: bool = False) -> Iterator[FaultyServer]:
    server = FaultyServer(folder, tls=tls)
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
    """Returns a loopback port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def dripping_handshake() -> Iterator[int]:
    """Yields a loopback port that answers a TLS handshake byte by byte, for ever."""
    closing = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"\x16\x03\x03\x40\x00")  # header of a handshake record of 16 kB
            connection.sendall(b"\x02\x00\x3f\xfc")
            while not closing.wait(0.05):
                connection.sendall(b"\x03")

    def accept() -> None:
        with contextlib.suppress(OSError):
            while not closing.is_set():
                connection, _ = listener.accept()
                threading.Thread(target=drip, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        closing.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
