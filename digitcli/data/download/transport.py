"""A file on its way from a mirror: one thread reads the mirror, another waits with time limits."""

import contextlib
import os
import socket
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock

from digitcli.core.errors import error_reason
from digitcli.core.files.regular import open_regular
from digitcli.data.download.manifest import MAX_FILE_SIZE

CHUNK_SIZE = 64 * 1024  # bytes to read at a time
_POLL_INTERVAL = 0.5  # seconds between checks for Ctrl-C where a wait cannot be interrupted


class MirrorError(Exception):
    """A mirror failed for the reason given."""


class Transfer:
    """A file being read from a mirror.

    The reading thread calls ``track``, ``start``, ``put`` and ``finish``; the other one ``wait``
    and ``cancel``. A thread that waits for a byte cannot be stopped, but shutting its connection
    down ends the wait. ``time_limit`` is in seconds, for the whole transfer.
    """

    def __init__(self, time_limit: float) -> None:
        self.size: int | None = None  # as announced by the mirror
        self._end = time.monotonic() + time_limit
        self._received = 0
        self._arrived: SimpleQueue[bytes | Exception] = SimpleQueue()
        self._lock = Lock()
        self._sockets: list[socket.socket] = []
        self._is_cancelled = False

    def track(self, connection: socket.socket) -> None:
        """Adds a connection to shut down on ``cancel``; at once if that was called already."""
        with self._lock:
            self._sockets.append(connection.dup())  # valid after TLS has taken over the original
            if self._is_cancelled:
                self._shut_down()

    def start(self, size: int | None) -> None:
        """Ends the first ``wait``; raises ``MirrorError`` if the file is too large."""
        _check_size(size or 0)
        self.size = size
        self._arrived.put(b"")

    def put(self, chunk: bytes) -> None:
        """Adds bytes, at least one; raises ``MirrorError`` if they are too many."""
        self._received += len(chunk)
        _check_size(self._received)
        self._arrived.put(chunk)

    def finish(self, error: Exception | None = None) -> None:
        """Ends the transfer; ``wait`` raises the error, if there is one."""
        self._arrived.put(error or b"")

    def wait(self, timeout: float) -> bytes:
        """Returns what arrived next: b"" at the start of the file and at its end, else its bytes.

        Raises:
            MirrorError: Nothing arrived in ``timeout`` seconds or within the time limit.
        """
        deadline = min(time.monotonic() + timeout, self._end)
        arrived = None
        while arrived is None:
            left = deadline - time.monotonic()
            try:
                arrived = self._arrived.get(timeout=max(0, min(left, _POLL_INTERVAL)))
            except Empty:
                if left <= 0:
                    is_late = time.monotonic() >= self._end
                    raise MirrorError("took too long" if is_late else "timed out") from None
        if isinstance(arrived, Exception):
            raise arrived
        return arrived

    def cancel(self) -> None:
        """Shuts down all connections, including those still to be opened."""
        with self._lock:
            self._is_cancelled = True
            self._shut_down()

    def _shut_down(self) -> None:
        for connection in self._sockets:
            with contextlib.suppress(OSError):  # the mirror closed it first
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._sockets.clear()


def _check_size(size: int) -> None:
    if size > MAX_FILE_SIZE:
        raise MirrorError(f"sends {size:,} bytes; no file has more than {MAX_FILE_SIZE:,}")


def read_file(path: Path, transfer: Transfer) -> None:
    """Reads a file of a mirror that is a folder; not a pipe or device, which might never end.

    Raises:
        MirrorError: The file cannot be read or is too large.
    """
    try:
        with open_regular(path) as file:
            transfer.start(os.fstat(file.fileno()).st_size)
            while chunk := file.read(CHUNK_SIZE):
                transfer.put(chunk)
    except OSError as error:
        raise MirrorError(error_reason(error)) from error
